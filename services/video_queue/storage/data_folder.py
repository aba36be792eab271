"""The folder that holds everything: one process has it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StartError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder if needed, and hold it. Raises `StartError` when another process has it.

    Two at once would clear away each other's uploads at the start. The kernel gives the lock back
    when the process ends, however it ends.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"{folder} cannot be written ({error.strerror}): "
            "set VIDEO_QUEUE_DATA to a folder that belongs to this user."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"{folder} is in use by another video queue: "
                "stop that one, or set VIDEO_QUEUE_DATA to another folder."
            ) from error
        yield
    finally:
        os.close(descriptor)
