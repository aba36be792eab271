"""Shows that a process is alive to a health check in another process, without a certificate.

The file holds the time of the machine's monotonic clock, which every process reads alike and nobody
can set.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from mtls.errors import MtlsError

_BEAT_SECONDS: Final = 5
_MAX_SILENT_SECONDS: Final = 30
_DIGITS: Final = 20


class NotAliveError(MtlsError):
    """The process does not show that it is alive."""


class AliveFile:
    """The file in which a process shows whether it can do its work."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def show(self, *, alive: bool) -> None:
        """Write the time into the file, or empty it. Raises OSError."""
        if self._descriptor is None:
            return
        if alive:
            os.pwrite(self._descriptor, f"{time.monotonic():0{_DIGITS}.3f}".encode(), 0)
        else:
            os.ftruncate(self._descriptor, 0)


@contextmanager
def alive_file(path: Path | None) -> Iterator[AliveFile]:
    """Open the file at `path`; without a path, nothing is shown. Raises OSError."""
    if path is None:
        yield AliveFile(None)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield AliveFile(descriptor)
    finally:
        os.close(descriptor)


async def show_alive(path: Path) -> NoReturn:
    """Write the time into the file every few seconds, until cancelled. Raises OSError."""
    with alive_file(path) as file:
        while True:
            file.show(alive=True)
            await asyncio.sleep(_BEAT_SECONDS)


def check_alive(path: Path) -> None:
    """Raise `NotAliveError` if the last time in the file is too long ago, or if there is none."""
    try:
        silent_seconds = time.monotonic() - float(path.read_bytes()[:_DIGITS])
    except (OSError, ValueError) as error:
        raise NotAliveError(
            f"{path} holds no time: the process has not started, or cannot do its work."
        ) from error
    if silent_seconds > _MAX_SILENT_SECONDS:
        raise NotAliveError(f"The event loop has not moved for {silent_seconds:.0f} s: restart it.")
