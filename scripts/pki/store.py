"""Files that are whole or absent, and one writer at a time - whatever moment the power goes."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pki.errors import FolderBusy, FolderUnusable

_UNFINISHED: Final = ".unfinished-"
_LOCK_TIMEOUT: Final = 60.0  # seconds; a full run takes one
_LOCK_POLL: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Owner:
    """Numbers, since the names of a container's users mean nothing to its host."""

    uid: int
    gid: int


@contextlib.contextmanager
def locked(folder: Path, on_wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold `folder` alone; call `on_wait` once if another process has it now.

    The lock is on the directory itself, so no lock file is left behind, and the kernel lifts it
    when its holder dies. Raises `FolderBusy` after a minute.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _try_lock(descriptor, folder):
            on_wait()
            deadline = time.monotonic() + _LOCK_TIMEOUT
            while not _try_lock(descriptor, folder):
                if time.monotonic() > deadline:
                    raise FolderBusy
                time.sleep(_LOCK_POLL)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in {errno.EBADF, errno.ENOLCK, errno.ENOTSUP}:  # some network file systems
            raise FolderUnusable(
                f"{folder} is on a file system without locks; give a local one with `--folder`."
            ) from error
        raise
    return True


def write_atomically(path: Path, content: bytes, mode: int, owner: Owner | None = None) -> None:
    """Replace `path` in one step: a reader sees the old file or the new one, never a part.

    The temporary file is open to nobody else, so a secret is at no moment readable by others.
    """
    descriptor, unfinished = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        if owner:
            os.fchown(descriptor, owner.uid, owner.gid)
        os.fsync(descriptor)
    Path(unfinished).rename(path)
    _sync(path.parent)


def replace_folder(path: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Replace the folder `path` by one with exactly these files, name to (content, mode)."""
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=path.parent))
    for name, (content, mode) in files.items():
        write_atomically(unfinished / name, content, mode)
    discard(path)
    unfinished.rename(path)
    _sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Only their owner may write into them, under any umask.

    `mkdir(parents=True)` gives its mode to the last one alone, and the umask to the others.
    """
    for each in reversed((path, *path.parents)):
        each.mkdir(mode=0o755, exist_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder, if it exists, in one step: no run that is killed leaves half of it."""
    if not folder.exists():
        return
    discarded = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    folder.rename(discarded)
    _sync(folder.parent)
    shutil.rmtree(discarded)


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed, or a replaced folder, left in `folder`."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    """Make the renames in `folder` outlive a power failure (fsync(2), section NOTES)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
