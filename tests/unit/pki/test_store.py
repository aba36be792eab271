"""A reader finds the old content or the new, and a secret is at no moment open to others."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pki.errors import FolderUnusable
from pki.store import Owner, locked, replace_folder, write_atomically

Look = Callable[[Path], None]


@pytest.fixture
def before_rename(monkeypatch: pytest.MonkeyPatch) -> Callable[[Look], None]:
    """Have a look at the unfinished file or folder, just before it takes its place."""
    rename = Path.rename

    def install(look: Look) -> None:
        def looked(path: Path, target: Path) -> Path:
            look(path)
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", looked)

    return install


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_whole_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, before_rename: Callable[[Look], None]
) -> None:
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    before_rename(lambda new: seen.append((path.read_bytes(), new.read_bytes(), mode(new))))
    write_atomically(path, b"new", 0o644)
    assert seen == [(b"old", b"new", 0o644)]
    assert path.read_bytes() == b"new"


def test_a_secret_is_open_to_its_owner_alone_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, fchmod = [], os.fchmod

    def spied(descriptor: int, wanted: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fchmod(descriptor, wanted)

    monkeypatch.setattr(os, "fchmod", spied)
    write_atomically(tmp_path / "file", b"", 0o644)
    assert modes == [0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_has_its_owner_before_it_takes_its_place(
    tmp_path: Path, before_rename: Callable[[Look], None]
) -> None:
    """Else a service that reloads its key could find one that it may not read."""
    seen = []
    before_rename(lambda new: seen.append((new.stat().st_uid, new.stat().st_gid)))
    write_atomically(tmp_path / "file", b"", 0o600, Owner(51003, 51004))
    assert seen == [(51003, 51004)]


def test_a_folder_is_whole_before_it_takes_its_place(
    tmp_path: Path, before_rename: Callable[[Look], None]
) -> None:
    wholes = []
    before_rename(lambda new: wholes.append(sorted(path.name for path in new.glob("[ab]"))))
    replace_folder(tmp_path / "folder", {"a": (b"", 0o600), "b": (b"", 0o644)})
    assert wholes == [[], [], ["a", "b"]]
    assert [mode(tmp_path / "folder" / name) for name in "ab"] == [0o600, 0o644]


def test_says_that_a_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(FolderUnusable, match="without locks"), locked(tmp_path):
        pass


def test_a_replaced_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    replace_folder(tmp_path / "folder", {"old": (b"", 0o600)})
    replace_folder(tmp_path / "folder", {"new": (b"", 0o600)})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
