"""Processes under measurement: started on a core of their own, and asked what they have used."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from local_stack import EventLog

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core each part has. With two, who sends shares a core with the server behind."""

    front: int
    behind: int
    client: int

    @classmethod
    def of_this_machine(cls) -> Self:
        """Spread over the cores that we may use."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[min(1, len(cores) - 1)], cores[min(2, len(cores) - 1)])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run the body on this core: it is the one that sends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `address` is host:port, empty until it listens.

    What it cannot do without is counted with it: its children, and the servers `beside` it.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    address: str
    beside: tuple["Server", ...] = ()

    def cpu_seconds(self) -> float:
        """Return what all of them have used, exactly."""
        return sum(_cpu_seconds(pid) for pid in self._processes())

    def memory_bytes(self) -> int:
        """Return the resident memory of all of them."""
        return sum(_resident_bytes(pid) for pid in self._processes())

    def _processes(self) -> Iterator[int]:
        yield from _family(self.process.pid)
        for each in self.beside:
            yield from each._processes()  # noqa: SLF001  its own kind

    def terminate(self) -> None:
        """Ask it, and what is beside it, to finish."""
        self.process.terminate()
        for each in self.beside:
            each.terminate()

    def stop(self) -> None:
        """Ask it to finish; insist after half a minute."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def spawn(
    command: Sequence[str | Path], variables: Mapping[str, str], core: int, log: Path
) -> "subprocess.Popen[bytes]":
    """Start a process on one core, with its output in `log`."""
    with log.open("ab") as output, on_core(core):  # a child inherits it
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **variables},
        )


@contextmanager
def serving(
    name: str,
    command: Sequence[str | Path],
    variables: Mapping[str, str],
    *,
    core: int,
    folder: Path,
) -> Iterator[Server]:
    """Run a server that announces where it listens, as ours and their peers do."""
    log = EventLog(folder / f"{name}.log")
    process = spawn(command, variables, core, log.path)
    server = Server(name, process, "")
    try:
        event = log.wait_for(
            lambda event: event["event"] == "server.listening",
            seconds=_START_SECONDS,
            while_true=lambda: process.poll() is None,
        )
        port = str(event["address"]).rpartition(":")[2]
        yield Server(name, process, f"localhost:{port}")
    finally:
        server.stop()


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):  # a child that has ended meanwhile has none, and has used nothing
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
        for child in children.split():
            yield from _family(int(child))


def _cpu_seconds(pid: int) -> float:
    # clock_getcpuclockid(3), which Python lacks: the clock of another process, in nanoseconds.
    # /proc/<pid>/stat counts the same in steps of ten milliseconds.
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0


def _resident_bytes(pid: int) -> int:
    with suppress(OSError):
        pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
