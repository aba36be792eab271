"""Where a worker keeps what it works on: a folder of its own beside those of other workers."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.errors import StartError

_PREFIX: Final = "transcoder-"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a folder and remove it at the end; clear away those of workers that are no more.

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
        shutil.rmtree(folder)
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    for folder in filter(Path.is_dir, parent.glob(_PREFIX + "*")):
        try:
            with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder)
        except BlockingIOError:
            continue  # its worker is alive
        except FileNotFoundError:
            continue  # its worker has just removed it


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = _lock(folder, how)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, how: int) -> int:
    """Return a descriptor that holds the lock for as long as it is open. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
