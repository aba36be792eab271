"""A server of examples/python and one of examples/library, with certificates of one CA."""

import datetime as dt
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

import mtls  # noqa: F401  before grpc

import grpc
from cryptography import x509

from local_stack import ROOT
from pki.authority import Authority, Issued
from pki.identities import CLIENT, SERVER, Identities, Identity
from pki.identity_folder import write_identity
from tests.examples.programs import EXAMPLES, Program
from tests.examples.servers import Server, running

DOMAIN: Final = "example.test"
IDENTITIES: Final = Identities(
    DOMAIN,
    (
        Identity(DOMAIN, "server", (SERVER,), "serves", ("localhost",)),
        Identity(DOMAIN, "client", (CLIENT,), "may call the forty lines"),
        Identity(DOMAIN, "client/viewer", (CLIENT,), "may call the library's example"),
        Identity(DOMAIN, "other", (CLIENT,), "may call neither"),
    ),
)
SECONDS: Final = 30
CLOSED: Final = 0  # the status of an answer that did not come
SHORT_LIFE: Final = dt.timedelta(seconds=10)  # to be used in, on a busy machine


@dataclass(frozen=True)
class Kind:
    """A server's program, whom it serves, and what is asked of it."""

    file: str
    caller: str
    path: str

    def program(self, *changes: tuple[str, str], into: Path | None = None) -> Program:
        """Return the program, with some of its text replaced if that is asked for."""
        file = EXAMPLES / self.file
        if changes:
            text = file.read_text()
            for old, new in changes:
                assert text.count(old) == 1, f"{old!r} is no longer in {file}"
                text = text.replace(old, new)
            assert into
            file = into / f"{file.parent.name}_{file.name}"
            file.write_text(text)
        path = f"PYTHONPATH={ROOT / 'services'}:{EXAMPLES / 'python'}"
        return Program(("env", path, "NO_COLOR=1", sys.executable, str(file)))


FORTY: Final = Kind("python/http_server.py", "client", "/")
OURS: Final = Kind("library/http_server.py", "client/viewer", "/hello")
FORTY_GRPC: Final = Kind("python/grpc_server.py", "client", "/hello.v1.Greeter/SayHello")
OURS_GRPC: Final = Kind("library/grpc_server.py", "client/viewer", "/hello.v1.Greeter/Hello")


@dataclass(frozen=True)
class Answer:
    """The status of an answer, and its headers."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Live:
    """A running server."""

    kind: Kind
    server: Server
    folder: Path  # the server's own
    ca: Path

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    def context(self, client: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if client:
            context.load_cert_chain(client / "key-pair.pem")
        return context

    def open(self, client: Path | None, context: ssl.SSLContext | None = None) -> HTTPSConnection:
        """Return an open connection, which does not connect again by itself."""
        context = context or self.context(client)
        connection = HTTPSConnection("localhost", self.port, context=context, timeout=SECONDS)
        connection.connect()
        connection.auto_open = False
        return connection

    def ask(self, connection: HTTPSConnection, method: str = "GET", **headers: str) -> Answer:
        """Ask in a thread of its own.

        What OpenSSL keeps for a thread of the error of one connection, Python takes for that of the
        next to be read there (python/cpython#148594).
        """
        with ThreadPoolExecutor(1) as own:
            return own.submit(self._ask, connection, method, headers).result()

    def _ask(self, connection: HTTPSConnection, method: str, headers: dict[str, str]) -> Answer:
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, self.kind.path, headers=names)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            return Answer(CLOSED)
        return Answer(response.status, dict(response.headers))

    def ask_once(self, client: Path | None, method: str = "GET", **headers: str) -> Answer:
        """Ask over a connection of its own."""
        with closing(self.open(client)) as connection:
            return self.ask(connection, method, **headers)

    def call(self, client: Path, *, sessions: Any = None) -> grpc.StatusCode:
        """Make a gRPC call over a channel of its own, and return how it ended."""
        with self.channel(client, sessions) as channel:
            method: Any = channel.unary_unary(self.kind.path)
            try:
                method(b"", timeout=SECONDS)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

    def channel(self, client: Path, sessions: Any = None) -> grpc.Channel:
        files = ("ca-certificate.crt", "private-key.pem", "certificate.crt")
        credentials = grpc.ssl_channel_credentials(
            *[(client / each).read_bytes() for each in files]
        )
        options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
        if sessions:
            options.append(("grpc.ssl_session_cache", sessions))
        return grpc.secure_channel(self.server.address, credentials, options)

    @property
    def log(self) -> str:
        return self.server.log.read_text()

    @property
    def calls(self) -> int:
        """How often its handler has run."""
        return len(re.findall(r"^called by |called$", self.log, re.MULTILINE))

    def says(self, *words: str) -> None:
        """Wait for a line with these words."""
        until(lambda: any(all(w in line for w in words) for line in self.log.splitlines()))


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.05)


@dataclass
class Lab:
    """One CA, and a folder for each certificate that it issues."""

    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.create(IDENTITIES))
    made: int = 0

    def write(self, issued: Issued, folder: Path | None = None, *others: Authority) -> Path:
        """Write an identity that trusts our CA and others, and return its folder."""
        self.made += 1
        folder = folder or self.folder / str(self.made)
        trusted = (self.authority, *others)
        write_identity(
            folder,
            issued,
            b"".join(each.ca_pem for each in trusted),
            crl_pem=b"".join(each.crl() for each in trusted),
        )
        return folder

    def identity(self, name: str, **facts: Any) -> Path:
        return self.write(self.authority.issue(IDENTITIES.named(name), **facts))

    def short_lived(self, live: Live) -> Path:
        """Return a certificate of the caller that expires soon."""
        return self.identity(live.kind.caller, not_after=dt.datetime.now(dt.UTC) + SHORT_LIFE)

    def until_expired(self, client: Path) -> None:
        """Wait until this certificate, and all that were made before it, have expired."""
        leaf = x509.load_pem_x509_certificate((client / "certificate.crt").read_bytes())
        end = leaf.not_valid_after_utc + dt.timedelta(seconds=1)
        until(lambda: dt.datetime.now(dt.UTC) > end)

    @contextmanager
    def start(
        self, kind: Kind, *changes: tuple[str, str], folder: Path | None = None
    ) -> Iterator[Live]:
        self.made += 1
        scratch = self.folder / f"program-{self.made}"
        scratch.mkdir()
        folder = folder or self.identity("server")
        with running(kind.program(*changes, into=scratch), folder, scratch / "log") as server:
            yield Live(kind, server, folder, self.folder / "ca.crt")

    def ends_at_once(self, kind: Kind, folder: Path) -> str:
        """Start a program that is to end by itself, and return what it says."""
        program = kind.program()
        ended = subprocess.run(
            [*program.command, folder, "localhost:0"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ended.returncode != 0
        return ended.stderr
