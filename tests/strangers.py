"""Services as processes, and strangers who call them: each differs in one fact from who is served.

    lab, hello = Lab(tmp_path), call_grpc("/greeter.v1.Greeter/Hello")
    with lab.running("greeter") as greeter:
        lab.check_refuses_strangers(greeter, hello, {"front"}, handled="hello.called")

A refusal looks like an outage to a client. So each is proven by the server's own reason, by its
handler, which does not run, and by the twin, who is served before and after.
"""

import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc

from pki.authority import Authority, Issued
from pki.identities import CLIENT, SERVER, Identities, load_identities
from pki.identity_folder import write_identity

ROOT: Final = Path(__file__).resolve().parents[1]
_SECONDS: Final = 30
_STARTED: Final = ("server.listening", "worker.started")

Event = Mapping[str, Any]
Call = Callable[[str, bytes, Issued | None], bytes]


@dataclass(frozen=True, slots=True)
class Process:
    """A service that runs: where its log is, where it listens, and what it was started with."""

    name: str
    log: Path
    variables: Mapping[str, str]
    address: str = ""

    def events(self, since: int = 0) -> list[Event]:
        """Return what it has logged, from an event on."""
        lines = self.log.read_text("utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.startswith("{") and line.endswith("\n")]
        return [json.loads(line) for line in whole][since:]

    def wait_for(self, *names: str, since: int = 0) -> Event:
        """Return the first event of these names, from an event on."""
        deadline = time.monotonic() + _SECONDS
        while True:
            for event in self.events(since):
                if event["event"] in names:
                    return event
            assert time.monotonic() < deadline, f"no {names} in {self.log.read_text('utf-8')}"
            time.sleep(0.02)

    def count(self, name: str) -> int:
        """Return how many events of that name it has logged."""
        return sum(event["event"] == name for event in self.events())


class Lab:
    """A folder with certificates of a CA of its own, and of another CA that has the same names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identities: Identities = load_identities(ROOT / "identities.toml").with_localhost()
        self.ca = Authority.create(self.identities)
        self.other_ca = Authority.create(self.identities)

    @contextmanager
    def running(
        self, name: str, variables: Mapping[str, str] | None = None, *, ca: Authority | None = None
    ) -> Iterator[Process]:
        """Run a service of identities.toml, with certificates of `ca`, until the body ends."""
        number = sum(1 for _ in self.folder.glob(f"{name}-*.log"))
        folder, log = self.folder / f"{name}-{number}", self.folder / f"{name}-{number}.log"
        issuer = ca or self.ca
        issued = issuer.issue(self.identities.named(name))
        write_identity(folder, issued, issuer.ca_pem, crl_pem=issuer.crl())
        module = name.replace("-", "_")
        prefix = module.upper()
        environment = {f"{prefix}_LISTEN": "127.0.0.1:0", f"{prefix}_IDENTITY": str(folder)}
        environment |= {"LOG_FORMAT": "json", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with (
            log.open("ab") as output,
            subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=self.folder,
                env={**os.environ, **environment, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            ) as process,
        ):  # which waits for its end
            try:
                running = Process(name, log, variables or {})
                started = running.wait_for(*_STARTED)
                port = str(started.get("address", "")).rpartition(":")[2]
                yield replace(running, address=f"localhost:{port}" if port else "")
            finally:
                process.terminate()

    def check_refuses_strangers(
        self, server: Process, call: Call, allowed: Collection[str], *, handled: str
    ) -> None:
        """Assert that `server` answers one of the `allowed`, and none of the strangers.

        `handled` is the event that its handler logs.
        """
        assert allowed, f"nobody may call {server.name}: name a caller in its policy"
        me = self.identities.named(min(allowed))
        now = datetime.now(UTC)
        unlisted = [
            row for row in self.identities if CLIENT in row.ekus and row.name not in allowed
        ]
        strangers: dict[str, Issued | None] = {
            "no_certificate": None,
            "unknown_ca": self.other_ca.issue(me),
            "expired": self.ca.issue(me, not_after=now - timedelta(hours=1)),
            "wrong_purpose": self.ca.issue(me, ekus=[SERVER]),
            "not_listed": self.ca.issue(unlisted[0]),
        }
        call(server.address, self.ca.ca_pem, self.ca.issue(me))
        for reason, stranger in strangers.items():
            since, handled_before = len(server.events()), server.count(handled)
            with suppress(grpc.RpcError, OSError, http.client.HTTPException, Denied):
                answer = call(server.address, self.ca.ca_pem, stranger)
                raise AssertionError(f"{server.name} answered {answer!r} in spite of {reason}")
            refusal = server.wait_for("handshake.refused", "call.denied", since=since)
            assert refusal["reason"] == reason
            assert server.count(handled) == handled_before
            call(server.address, self.ca.ca_pem, self.ca.issue(me))
            assert server.count(handled) == handled_before + 1

    def with_impostor(self, server: Process) -> Iterator[tuple[str, bool]]:
        """Yield the address of the server, and of one whose certificate is of another CA."""
        yield server.address, True
        with self.running(server.name, server.variables, ca=self.other_ca) as impostor:
            yield impostor.address, False

    def check_works(self, worker: Process, done: str, *, is_genuine: bool) -> None:
        """Assert that the worker works with a genuine server, or says why it does not."""
        if is_genuine:
            worker.wait_for(done)
        else:
            assert worker.wait_for("connection.failed")["cause"] == "server_unknown_ca"
            assert worker.count(done) == 0


class Denied(Exception):
    """An HTTP server has answered, and not with 200."""


def call_grpc(method: str) -> Call:
    """Return a call of a gRPC method, with an empty message."""

    def call(address: str, ca_pem: bytes, shown: Issued | None) -> bytes:
        shows = (ca_pem, shown.key_pem, shown.chain_pem) if shown else (ca_pem,)
        credentials = grpc.ssl_channel_credentials(*shows)
        with grpc.secure_channel(address, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
            return channel.unary_unary(method, bytes, bytes)(b"", timeout=_SECONDS)

    return call


def call_http(path: str) -> Call:
    """Return a GET of a path, which raises `Denied` unless it is answered with 200."""

    def call(address: str, ca_pem: bytes, shown: Issued | None) -> bytes:
        context = ssl.create_default_context(cadata=ca_pem.decode())
        if shown:
            _load(context, shown)
        connection = http.client.HTTPSConnection(address, context=context, timeout=_SECONDS)
        with closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise Denied(response.status)
            return response.read()

    return call


def _load(context: ssl.SSLContext, shown: Issued) -> None:
    """Give the context a certificate; OpenSSL reads one from a file, which nobody else may read."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(shown.key_pair_pem)
        file.flush()
        context.load_cert_chain(file.name)
