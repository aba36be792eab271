"""What the decoding process may no longer do. It cannot be undone, so each claim has a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from transcoder.sandbox.landlock import landlock_version

BEGIN = """
import os, signal, socket, sys
from pathlib import Path
from transcoder.sandbox.landlock import confine_files
writable, readable, other = map(Path, sys.argv[1:4])
connected = socket.create_server(("127.0.0.1", 0))
opened = (other / "file").open()
"""
CONFINE = "confine_files(writable=[writable / 'file'], readable=[readable])\n"

pytestmark = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")


def run(root: Path, program: str) -> str:
    """Run the program; return what it wrote last, or nothing if it has done what it wanted."""
    folders = [root / name for name in ("writable", "readable", "other")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").write_text("content")
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *folders],
        env={"PYTHONPATH": "services"},
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    return done.stderr.decode().strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    ("since", "deed"),
    [
        (1, "(other / 'file').read_text()"),
        (1, "(other / 'file').write_text('')"),
        (1, "(other / 'new').touch()"),
        (1, "list(other.iterdir())"),
        (1, "(other / 'file').unlink()"),
        (1, "(readable / 'file').write_text('')"),
        (1, "(readable / 'new').touch()"),
        (1, "(writable / 'new').touch()"),
        (1, "(writable / 'new').mkdir()"),
        (1, "(writable / 'new').symlink_to('/etc/passwd')"),
        (1, "os.mkfifo(writable / 'new')"),
        (1, "(writable / 'file').unlink()"),
        (1, "(writable / 'file').rename(writable / 'new')"),
        (1, "list(writable.iterdir())"),
        (1, "os.execv('/bin/true', ['true'])"),
        (1, "Path('/proc/self/environ').read_text()"),
        (2, "(other / 'file').rename(writable / 'stolen')"),
        (3, "os.truncate(other / 'file', 0)"),
        (4, "socket.create_connection(connected.getsockname())"),
        (4, "socket.create_server(('127.0.0.1', 0))"),
        (6, "os.kill(os.getppid(), signal.SIGCONT)"),
    ],
)
def test_what_was_allowed_is_denied(tmp_path: Path, since: int, deed: str) -> None:
    if landlock_version() < since:
        pytest.skip(f"this kernel has version {landlock_version()} of Landlock")
    assert run(tmp_path / "free", deed) == ""
    assert run(tmp_path / "confined", CONFINE + deed).startswith("PermissionError")


@pytest.mark.parametrize(
    "deed",
    [
        "(writable / 'file').write_text('other content'); (writable / 'file').read_text()",
        "(writable / 'file').open('r+').truncate(3)",
        "(readable / 'file').read_text()",
        "list(readable.iterdir())",
        "opened.read()",
        "os.kill(os.getpid(), signal.SIGCONT)",
    ],
)
def test_what_the_work_needs_is_still_allowed(tmp_path: Path, deed: str) -> None:
    assert run(tmp_path, CONFINE + deed) == ""
