"""Waiting until a server answers."""

import time
from typing import Final

from benchmarks.connections import Connect, is_answered
from benchmarks.processes import Server

_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.005


def until(server: Server, connect: Connect, path: str) -> None:
    """Return when a new connection gets a 200. Raises `RuntimeError` if that takes too long."""
    deadline = time.monotonic() + _SECONDS
    while not is_answered(connect, path):
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} does not answer; its log lies beside its files.")
        time.sleep(_POLL_SECONDS)
