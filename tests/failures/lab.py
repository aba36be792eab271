"""Where the failures happen: an honest server and an honest client, to be spoilt in one fact."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mtls.identity import KEY_PAIR

from demo_identities import IDENTITIES, identity_named
from local_stack import ROOT, EventLog
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity
from tests.failures.clients import Client

SERVER: Final = identity_named("gateway")  # its names: gateway, localhost
CLIENT: Final = identity_named("client/uploader")
_PACKAGES: Final = ("services", "protos/gen", "scripts", ".")
_START_SECONDS: Final = 60
_ANY_TIME: Final = dt.datetime.fromtimestamp(0, dt.UTC)


@dataclass(frozen=True)
class Server:
    """A server that runs: its addresses (host:port), and what it says, if it says anything."""

    http: str
    grpc: str
    log: EventLog | None = None


@dataclass(frozen=True)
class Case:
    """A failure that is ready to happen; `moment` is when, if that is a matter of time."""

    client: Client
    server: Server
    moment: dt.datetime = _ANY_TIME


class TooLate(Exception):
    """The moment of a case came before everything was done that comes before it."""


@dataclass(frozen=True)
class Lab:
    """A folder for one failure; `life` is what is left to a certificate that is to expire in it."""

    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.create(IDENTITIES))
    life: dt.timedelta = dt.timedelta(seconds=8)

    def client(self, issued: Issued | None = None, ca_pem: bytes = b"") -> Client:
        """Write a client's files; without arguments, those of the honest one."""
        folder = self.folder / "client"
        issued = issued or self.authority.issue(CLIENT)
        write_identity(folder, issued, ca_pem or self.authority.ca_pem)
        return Client(folder)

    @contextmanager
    def server(
        self, issued: Issued | None = None, ca_pem: bytes = b"", crl_pem: bytes | None = None
    ) -> Iterator[Server]:
        """Run a server; without arguments, the honest one, which knows of no revocations."""
        folder = self.folder / "server"
        issued = issued or self.authority.issue(SERVER)
        write_identity(folder, issued, ca_pem or self.authority.ca_pem, crl_pem=crl_pem)
        log = EventLog(self.folder / "server.log")
        with log.path.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.failures.careless_server", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PYTHONPATH": ":".join(f"{ROOT}/{part}" for part in _PACKAGES)},
            )
        try:
            ports = log.wait_for(
                lambda event: event["event"] == "server.listening",
                seconds=_START_SECONDS,
                while_true=lambda: process.poll() is None,
            )
            yield Server(f"localhost:{ports['http']}", f"localhost:{ports['grpc']}", log)
        finally:
            process.kill()
            process.wait()

    def server_file(self) -> Path:
        """Write the server's key and chain into one file, as `openssl s_server` takes them."""
        folder = self.folder / "server"
        write_identity(folder, self.authority.issue(SERVER), self.authority.ca_pem)
        return folder / KEY_PAIR

    @contextmanager
    def case(self, client: Client | None = None, server: Issued | None = None) -> Iterator[Case]:
        """Run the honest server, or one with this certificate, for this client."""
        client = client or self.client()
        with self.server(server) as running:
            yield Case(client, running)


Arrange = Callable[[Lab], AbstractContextManager[Case]]
"""Makes a case ready in a lab, for as long as the context lasts."""


def dialled(server: Server, host: str) -> Server:
    """Return the same server under another name for its address."""
    return replace(
        server,
        http=f"{host}:{server.http.rpartition(':')[2]}",
        grpc=f"{host}:{server.grpc.rpartition(':')[2]}",
    )
