"""The example servers as processes, and what their handlers have said."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack import free_port
from tests.examples.programs import Program

_START_SECONDS: Final = 60
_CALLED: Final = "called by "


@dataclass(frozen=True)
class Server:
    """A running server: where it is, and the file with all that it has printed."""

    address: str
    log: Path

    def callers(self, since: int = 0) -> list[str]:
        """Return by whom its handler was called, after that many calls."""
        lines = self.log.read_text().splitlines()
        called = [line.removeprefix(_CALLED) for line in lines if line.startswith(_CALLED)]
        return called[since:]


@contextmanager
def running(program: Program, identity: Path, log: Path) -> Iterator[Server]:
    """Start a server and wait until it can be connected to."""
    address = free_address()
    command = [*program.command, str(identity), address]
    with listening(command, address, folder=program.folder, log=log):
        yield Server(address, log)


@contextmanager
def listening(
    command: list[str],
    address: str,
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[None]:
    """Start what will listen at the address, and end it with all that it has started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for(process, address, log)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_address() -> str:
    """Return one that nobody else gets."""
    return f"localhost:{free_port()}"


def _wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), _START_SECONDS).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.02)
        else:
            return
