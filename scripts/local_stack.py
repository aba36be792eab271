"""The services as local processes, without Docker: for scripts/demo and for the tests.

Every stack has its own folder, certificates and ports, so that any number can run side by side.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import aiohttp

import bootstrap_certs
from demo_identities import IDENTITIES
from pki.authority import Authority
from pki.bootstrap import bootstrap
from pki.ca_folder import write_authority
from pki.layout import IMPOSTORS_FOLDER, PUBLISHED_FOLDER
from pki.run import Options
from pki.store import make_folder

ROOT: Final = Path(__file__).resolve().parent.parent
_PYTHONPATH: Final = os.pathsep.join(str(ROOT / part) for part in ("services", "protos/gen"))
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
_LOG_SECONDS: Final = 30
# Of a client: the gateway says something every few seconds, if only that a video is not done yet.
_PATIENCE: Final = aiohttp.ClientTimeout(total=240, sock_read=60)
_POLL_SECONDS: Final = 0.02
_STARTED: Final = frozenset({"server.listening", "worker.started"})

OPEN: Final = "Open "  # the console's line, before the address

Event = Mapping[str, Any]


class StackError(RuntimeError):
    """A service did not do what was waited for."""


def require_localhost() -> None:
    """Exit with a line that says what to do where `localhost` is not 127.0.0.1.

    Servers listen at that address, and clients dial that name, which is in the certificates.
    """
    try:
        known = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        known = []
    if "127.0.0.1" not in {str(address[0]) for *_, address in known}:
        sys.exit(
            'localhost is not 127.0.0.1 here: add the line "127.0.0.1 localhost" to /etc/hosts.'
        )


_HELD: Final[list[ExitStack]] = []  # until this process ends


def free_port(*addresses: str) -> int:
    """Return a port for a server that cannot say which one it took; no other process gets it.

    It is free at each of the addresses, 127.0.0.1 if there are none. It is bound here as well, so
    the kernel gives it to nobody who asks for any. It lets the server have it, and have it again
    after a kill, since both reuse addresses; a second who looks for a free one does not get so far.
    """
    for _ in range(100):
        port = 0
        with ExitStack() as bound, suppress(OSError):  # taken at another address: try the next one
            for address in addresses or ("127.0.0.1",):
                held = bound.enter_context(socket.socket())
                held.bind((address, port))
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                port = int(held.getsockname()[1])
            _HELD.append(bound.pop_all())
            return port
    raise StackError(f"No port is free at {', '.join(addresses) or '127.0.0.1'}.")


@dataclass(frozen=True, slots=True)
class EventLog:
    """What a service has written to standard error, one JSON object per line."""

    path: Path

    def position(self) -> int:
        """Return where the log ends now, to read on from there later."""
        return self.path.stat().st_size

    def events(self, since: int = 0) -> list[Event]:
        """Return the events after `since`; a line that is not JSON counts as `{"event": line}`."""
        with self.path.open("rb") as file:
            file.seek(since)
            lines = [line for line in file.readlines() if line.endswith(b"\n")]
        return [_parse(line) for line in lines]

    def wait_for(
        self,
        wanted: Callable[[Event], bool],
        *,
        since: int = 0,
        seconds: float = _LOG_SECONDS,
        while_true: Callable[[], bool] = lambda: True,
    ) -> Event:
        """Return the first event that is wanted, or raise `StackError` with the end of the log."""
        deadline = time.monotonic() + seconds
        while True:
            hope = while_true() and time.monotonic() < deadline
            if event := next(filter(wanted, self.events(since)), None):
                return event
            if not hope:
                raise StackError(f"Waited in vain; {self.path.name} ends with:\n{self._tail()}")
            time.sleep(_POLL_SECONDS)

    def _tail(self) -> str:
        return self.path.read_text("utf-8", "replace")[-4000:]


def _parse(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return {"event": line.decode("utf-8", "replace").rstrip()}
    return event if isinstance(event, dict) else {"event": event}


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: what it says, and where it listens (host:port), if it does."""

    name: str
    process: subprocess.Popen[bytes]
    log: EventLog
    address: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ask it to finish and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def kill(self) -> None:
        """End it without warning, as a crash or a power cut would."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Stack:
    """A folder with certificates and state, in which services are started.

    `authority` is the CA in it, to issue to others what the services will see.
    """

    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.create(IDENTITIES))

    @property
    def certs(self) -> Path:
        """What scripts/bootstrap_certs.py makes: the CA, and one folder per identity."""
        return self.folder / "certs"

    def write_certificates(self, *, impostors: bool = False) -> None:
        """Lay down the CA, and issue a certificate to every identity, and to impostors if asked."""
        make_folder(self.certs)
        write_authority(self.certs, self.authority)
        bootstrap(self.certs, Options(IDENTITIES, impostors=impostors))

    def start_renewer(self, *arguments: str) -> Service:
        """Start what renews the certificates; it logs plain lines, one for each change."""
        program = [
            bootstrap_certs.__file__,
            "--folder",
            str(self.certs),
            "--localhost",
            "renew",
            *arguments,
        ]
        return self._start("renewer", program, lambda event: "checks every" in event["event"])

    def start_queue(
        self, listen: str = "127.0.0.1:0", name: str = "video-queue", **variables: str
    ) -> Service:
        """Start video-queue; its state survives in the folder. `name` tells one of several."""
        return self._start_service(
            name,
            "video_queue",
            VIDEO_QUEUE_LISTEN=listen,
            VIDEO_QUEUE_IDENTITY=str(self.certs / "video-queue"),
            VIDEO_QUEUE_DATA=str(self.folder / "data"),
            **variables,
        )

    def start_gateway(
        self, queue: str, listen: str = "127.0.0.1:0", name: str = "gateway", **variables: str
    ) -> Service:
        """Start the gateway in front of the queue at `queue` (host:port)."""
        return self._start_service(
            name,
            "gateway",
            GATEWAY_LISTEN=listen,
            GATEWAY_IDENTITY=str(self.certs / "gateway"),
            GATEWAY_QUEUE=queue,
            **variables,
        )

    def start_transcoder(self, queue: str, number: int = 1, **variables: str) -> Service:
        """Start a worker of the queue at `queue` (host:port); any number can run at once."""
        name = f"transcoder-{number}"
        return self._start_service(
            name,
            "transcoder",
            TRANSCODER_IDENTITY=str(self.certs / "transcoder"),
            TRANSCODER_QUEUE=queue,
            TRANSCODER_WORK=str(self.folder / name),
            **variables,
        )

    def start_console(
        self, gateway: str, queue: str, listen: str = "127.0.0.1:0", **variables: str
    ) -> Service:
        """Start the web UI for the gateway and the queue (host:port); `opening` has its address."""
        return self._start_service(
            "console",
            "console",
            CONSOLE_LISTEN=listen,
            CONSOLE_IDENTITY=str(self.certs / "console"),
            CONSOLE_CERTIFICATES=str(self.certs / PUBLISHED_FOLDER),
            CONSOLE_IMPOSTORS=str(self.certs / IMPOSTORS_FOLDER),
            CONSOLE_GATEWAY=gateway,
            CONSOLE_QUEUE=queue,
            **variables,
        )

    def session(self, name: str, gateway: Service) -> aiohttp.ClientSession:
        """Return a session with the gateway as the identity `name`."""
        identity = load_identity(self.certs / name, roles=frozenset({Role.CLIENT}))
        connector = aiohttp.TCPConnector(ssl=client_context(identity))
        return aiohttp.ClientSession(
            f"https://{gateway.address}", connector=connector, timeout=_PATIENCE
        )

    def _start_service(self, name: str, module: str, **variables: str) -> Service:
        return self._start(
            name, ["-m", module], lambda event: event["event"] in _STARTED, **variables
        )

    def _start(
        self,
        name: str,
        program: Sequence[str],
        is_started: Callable[[Event], bool],
        **variables: str,
    ) -> Service:
        log = EventLog(self.folder / f"{name}.log")
        with log.path.open("ab") as output:
            since = output.tell()
            process = subprocess.Popen(
                [sys.executable, *program],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": _PYTHONPATH, "LOG_FORMAT": "json", **variables},
            )
        try:
            event = log.wait_for(
                is_started,
                since=since,
                seconds=_START_SECONDS,
                while_true=lambda: process.poll() is None,
            )
        except BaseException:
            process.kill()
            process.wait()
            raise
        port = str(event.get("address", "")).rpartition(":")[2]
        return Service(name, process, log, f"localhost:{port}" if port else "")


def opening(console: Service) -> str:
    """Return the address to open, with its token: what the console printed last."""

    def said(begin: str) -> list[str]:
        events = (str(event["event"]) for event in console.log.events())
        return [event for event in events if event.startswith(begin)]

    # Each start prints a line, just after it has logged that it listens.
    console.log.wait_for(lambda _: len(said(OPEN)) == len(said("server.listening")))
    return said(OPEN)[-1].removeprefix(OPEN)


@contextmanager
def running_stack(
    folder: Path, *, impostors: bool = False
) -> Iterator[tuple[Stack, Service, Service]]:
    """Yield a stack with both services running: (stack, queue, gateway)."""
    stack = Stack(folder)
    stack.write_certificates(impostors=impostors)
    with stack.start_queue() as queue, stack.start_gateway(queue.address) as gateway:
        yield stack, queue, gateway
