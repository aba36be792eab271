"""Where workers keep what they work on: each for itself, and nothing stays behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import StartError
from tests.unit.transcoder.conftest import Events, named
from transcoder import scratch
from transcoder.scratch import scratch_folder

HOLD_AND_WAIT = """
import sys
from pathlib import Path
from transcoder.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "source").write_bytes(b"half a video")
    print(folder, flush=True)
    sys.stdin.read()
"""


def other_worker(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a folder; return both."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_WAIT, str(parent)],
        env={"PYTHONPATH": "services"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_there_and_then_it_is_gone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "new" / "parent") as folder:
        assert folder.is_dir()
        (folder / "source").write_bytes(b"a video")
    assert not folder.exists()


def test_workers_beside_each_other_have_a_folder_each(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert second.is_dir()


def test_what_a_killed_worker_has_left_is_cleared_away_and_what_a_live_one_holds_is_not(
    tmp_path: Path,
) -> None:
    killed, dead = other_worker(tmp_path)
    alive, kept = other_worker(tmp_path)
    with killed, alive:
        killed.kill()
        killed.wait()
        assert (dead / "source").exists()
        with scratch_folder(tmp_path):
            assert not dead.exists()
            assert (kept / "source").exists()
        alive.kill()


def test_what_is_not_a_workers_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "transcoder-notes.txt").write_text("mine")
    with scratch_folder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"letters", "transcoder-notes.txt"}


def test_a_place_that_is_no_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="TRANSCODER_WORK"), scratch_folder(tmp_path / "file"):
        pass


def test_a_folder_of_any_shape_that_was_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "transcoder-left"
    left.mkdir()
    deep = os.open(left, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    left.chmod(0)
    try:
        with scratch_folder(tmp_path) as folder:
            assert list(tmp_path.iterdir()) == [folder]
    finally:
        subprocess.run(["rm", "-rf", left], check=True)  # pytest could not


def test_a_folder_that_cannot_be_removed_costs_a_line_in_the_log_and_not_the_start(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "transcoder-left"
    left.mkdir()
    remove_tree = scratch.remove_tree

    def fails(folder: Path) -> None:
        if folder == left:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        remove_tree(folder)

    monkeypatch.setattr(scratch, "remove_tree", fails)
    with scratch_folder(tmp_path) as folder:
        assert folder.exists()
    [event] = named(events, "scratch.left_behind")
    assert event["folder"] == str(left)
