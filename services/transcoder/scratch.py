"""Where a worker keeps what it works on: a folder of its own beside those of other workers."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from runtime.errors import StartError

_log = structlog.get_logger(__name__)

_PREFIX: Final = "transcoder-"
_FOLDER_FLAGS: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder and remove it at the end; remove those of workers that have ended.

    Every worker holds a lock on its folder, which the kernel gives back when the process ends,
    however it ends. The lock on the parent keeps others from taking a new folder for an old one.
    Raises `StartError`.
    """
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(parent, fcntl.LOCK_EX):
            _sweep(parent)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            descriptor = _lock(folder, fcntl.LOCK_EX)
    except OSError as error:
        raise StartError(
            f"{parent} cannot be written ({error.strerror}): "
            "set TRANSCODER_WORK to a folder that belongs to this user."
        ) from error
    try:
        yield folder
    finally:
        remove_tree(folder)
        os.close(descriptor)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder, and remove it at the end, whatever its shape has become."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, whatever its shape. Raises OSError.

    `shutil.rmtree` calls itself, or keeps a file open, for every level, and stops at a folder that
    its owner may not read. Here the folders that a folder holds are moved up until none is deep.
    """
    _make_accessible(folder)
    top = os.open(folder, _FOLDER_FLAGS)
    try:
        while entries := _entries(top):
            for entry in entries:
                _remove_entry(top, entry)
    finally:
        os.close(top)
    folder.rmdir()


def _remove_entry(top: int, entry: "os.DirEntry[str]") -> None:
    """Remove the entry, after moving the folders that it holds to `top`."""
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry.name, dir_fd=top)
        return
    _make_accessible(entry.name, dir_fd=top)
    folder = os.open(entry.name, _FOLDER_FLAGS, dir_fd=top)
    try:
        for inner in _entries(folder):
            if inner.is_dir(follow_symlinks=False):
                _make_accessible(inner.name, dir_fd=folder)  # to move it is to write in it
                os.rename(inner.name, uuid4().hex, src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner.name, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(entry.name, dir_fd=top)


def _entries(folder: int) -> "list[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        return list(entries)


def _make_accessible(folder: Path | str, dir_fd: int | None = None) -> None:
    """Let its owner read and write a folder; not what a link leads to. Raises OSError."""
    descriptor = os.open(folder, os.O_PATH | _FOLDER_FLAGS, dir_fd=dir_fd)
    try:
        # A descriptor of this kind has no fchmod: open(2), O_PATH.
        Path(f"/proc/self/fd/{descriptor}").chmod(0o700)
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(_PREFIX + "*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            _make_accessible(folder)
            with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                remove_tree(folder)
        except BlockingIOError:
            continue  # its worker is alive
        except FileNotFoundError:
            continue  # its worker has just removed it
        except OSError as error:  # costs some room on the disk, and not the start
            _log.warning("scratch.left_behind", folder=str(folder), reason=str(error))


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = _lock(folder, how)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, how: int) -> int:
    """Return a descriptor that holds the lock for as long as it is open. Raises `OSError`."""
    descriptor = os.open(folder, _FOLDER_FLAGS)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
