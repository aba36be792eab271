"""A process that escapes its group is ended all the same, by a worker that adopts orphans."""

import subprocess
import sys
from pathlib import Path

import pytest

from transcoder.sandbox.orphans import children_of

PROGRAM = """
import os, signal, subprocess, sys
from transcoder.sandbox.orphans import adopt_orphans, end_orphans
if {adopts}: adopt_orphans()
escaping = "import os; os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True)"
program = escaping + "; import signal; signal.pause()"
with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
    escaped = int(child.stdout.readline())
    child.wait()
    end_orphans()
    try:
        os.kill(escaped, 0)
    except ProcessLookupError:
        print("ended")
    else:
        print("lives on")
        os.kill(escaped, signal.SIGKILL)
"""


@pytest.mark.parametrize(("adopts", "outcome"), [("True", "ended"), ("False", "lives on")])
def test_what_leaves_its_group_is_ended(adopts: str, outcome: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(adopts=adopts)],
        env={"PYTHONPATH": "services"},
        stdout=subprocess.PIPE,
        timeout=60,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == outcome


def test_a_thread_that_ends_meanwhile_hides_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC's come and go as they like."""
    (tmp_path / "children").write_text("7 8 ")
    lists = [tmp_path / "of a thread that has ended" / "children", tmp_path / "children"]
    monkeypatch.setattr(Path, "glob", lambda *_: iter(lists))
    assert children_of(1) == [7, 8]
