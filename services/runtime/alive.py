"""Shows that the event loop of a process moves, to a health check in another process.

A process that listens on nothing has no other way to show it. The file holds the time of the
machine's monotonic clock, which every process reads alike and nobody can set.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Final, NoReturn

from mtls.errors import MtlsError

_BEAT_SECONDS: Final = 5
_MAX_SILENT_SECONDS: Final = 30
_DIGITS: Final = 20


class NotAliveError(MtlsError):
    """The event loop of the process does not move."""


async def show_alive(path: Path) -> NoReturn:
    """Write the time into the file every few seconds, until cancelled. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            os.pwrite(descriptor, f"{time.monotonic():0{_DIGITS}.3f}".encode(), 0)
            await asyncio.sleep(_BEAT_SECONDS)
    finally:
        os.close(descriptor)


def check_alive(path: Path) -> None:
    """Raise `NotAliveError` if the last time in the file is too long ago, or if there is none."""
    try:
        silent_seconds = time.monotonic() - float(path.read_bytes()[:_DIGITS])
    except (OSError, ValueError) as error:
        raise NotAliveError(f"{path} holds no time: the process has not started.") from error
    if silent_seconds > _MAX_SILENT_SECONDS:
        raise NotAliveError(f"The event loop has not moved for {silent_seconds:.0f} s: restart it.")
