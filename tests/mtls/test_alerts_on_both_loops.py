"""What a refused HTTP client is told and what we know of it, on asyncio and on uvloop.

Two of the claims are about the libraries. When they fail, code of ours has become superfluous.
"""

import asyncio
import gc
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls.connection_limiter import ConnectionLimits
from mtls.http_listener import accepting
from mtls.identity import KEY_PAIR
from mtls.identity_source import IdentitySource
from mtls.observer import Observer
from mtls.refusals import Refusal
from mtls.reporting import tls_alerts
from mtls.reporting.events import Reporter
from mtls.reporting.presented import Presented

import pytest
from structlog.testing import capture_logs

from tests.mtls.in_process import (
    LOOPS,
    TIMEOUT_SECONDS,
    Attempt,
    Echo,
    Parties,
    Run,
    attempt,
    make_parties,
)
from tests.mtls.servers import ALERTS

REFUSALS: Final = 50
TLS_ALERTS: Final = {
    **{reason: alert for reason, alert in ALERTS.items() if alert},
    "protocol_version": "TLSV1_ALERT_PROTOCOL_VERSION",
}
WITHOUT_CERTIFICATE: Final = {"no_certificate", "protocol_version"}


def old_hello() -> bytes:
    """Return the first message of a client that speaks nothing newer than TLS 1.2."""
    context, outgoing = ssl.create_default_context(), ssl.MemoryBIO()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    return make_parties(tmp_path_factory.mktemp("parties"))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return LOOPS[request.param]


class Refusals(Reporter):
    """Keeps the refusals that are reported, in place of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Refusal] = []

    def handshake_refused(self, endpoint: str, refusal: Refusal) -> None:
        self.found.append(refusal)


@asynccontextmanager
async def served(parties: Parties, observer: Observer) -> AsyncIterator[int]:
    """Yield the port of a server."""
    source = IdentitySource(parties.identity, observer)
    async with accepting(Echo, "127.0.0.1:0", source) as address:
        yield address.port


async def attempt_often(context: ssl.SSLContext, port: int, times: int) -> list[Attempt]:
    def attempts() -> list[Attempt]:
        return [attempt(context, port) for _ in range(times)]

    return await asyncio.to_thread(attempts)


@pytest.mark.parametrize("reason", TLS_ALERTS)
def test_each_refusal_sends_its_alert_and_is_reported_once(
    parties: Parties, run: Run, reason: str
) -> None:
    observer = Refusals()

    async def refuse() -> list[Attempt]:
        async with served(parties, observer) as port:
            [honest] = await attempt_often(parties.served, port, 1)
            assert honest.error == ""
            return await attempt_often(parties.refused[reason], port, REFUSALS)

    attempts: list[Attempt] = run(refuse())
    assert [found.error for found in attempts if TLS_ALERTS[reason] not in found.error] == []
    assert [refusal.reason.value for refusal in observer.found] == [reason] * REFUSALS
    assert [refusal.peer for refusal in observer.found] == [found.peer for found in attempts]
    presented = {Presented.parse(refusal.presented) for refusal in observer.found}
    if reason in WITHOUT_CERTIFICATE:
        assert presented == {None}
    else:
        [shown] = presented
        assert shown is not None
        assert "client/uploader" in shown.subject


def test_a_handshake_that_takes_too_long_is_reported_once(parties: Parties, run: Run) -> None:
    """One that was refused before, and whose client then stays silent, was reported for that."""
    observer = Refusals()

    def stay(port: int, first_bytes: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as client:
            client.sendall(first_bytes)
            while client.recv(4096):  # until the server closes
                pass

    async def wait() -> None:
        source = IdentitySource(parties.identity, observer)
        for first_bytes, seconds in ((b"", 0.2), (old_hello(), TIMEOUT_SECONDS)):
            limits = ConnectionLimits(handshake_seconds=seconds)
            async with accepting(Echo, "127.0.0.1:0", source, limits) as address:
                await asyncio.to_thread(stay, address.port, first_bytes)

    run(wait())
    assert [refusal.reason.value for refusal in observer.found] == ["timeout", "protocol_version"]
    assert all(refusal.peer for refusal in observer.found)


class RawClient:
    """A client that can send any bytes, and hears when the server ends its half."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def until_done(self, step: Callable[[], object]) -> str:
        """Call `step`, and give it what comes, until it is done; return the text of its error."""
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self.flush()
                if came := self.socket.recv(4096):
                    self.incoming.write(came)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError as error:
                self.flush()
                return str(error)
            else:
                self.flush()
                return ""

    def flush(self) -> None:
        """Send what our TLS has to say."""
        self.socket.sendall(self.outgoing.read())

    def until_its_turn(self) -> None:
        """Go on with the handshake to where our certificate is ready, and do not send it."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(self.socket.recv(4096))

    def say(self, text: bytes) -> None:
        """Send `text` in a sound record, and expect it back."""
        self.tls.write(text)
        assert self.until_done(lambda: self.tls.read(1024)) == ""

    def hears_the_end(self) -> bool:
        """Whether the server closes, or has ended its half: nothing of ours was closed."""
        try:
            return self.socket.recv(4096) == b""
        except ConnectionResetError:
            return True


async def until_served(context: ssl.SSLContext, port: int) -> None:
    """Connect again and again: a listener with one connection serves when that one is closed."""
    while (await attempt_often(context, port, 1))[0].error:
        pass


@pytest.mark.parametrize("waits", [0.2, 3600], ids=["silent", "reads the alert"])
def test_a_refused_connection_is_half_closed_and_soon_closed(
    parties: Parties, run: Run, monkeypatch: pytest.MonkeyPatch, waits: float
) -> None:
    """The end comes right after the alert, though the client closes nothing, nor says more."""
    monkeypatch.setattr(tls_alerts, "_SECONDS_AFTER_ALERT", waits)
    limits = ConnectionLimits(max_connections=1, handshake_seconds=3600)

    async def refuse() -> None:
        source = IdentitySource(parties.identity, Refusals())
        async with accepting(Echo, "127.0.0.1:0", source, limits) as address:
            client = await asyncio.to_thread(RawClient, parties.refused["expired"], address.port)
            with client.socket:
                await asyncio.to_thread(client.until_done, client.tls.do_handshake)
                alert = await asyncio.to_thread(client.until_done, lambda: client.tls.read(1))
                assert TLS_ALERTS["expired"] in alert
                assert await asyncio.to_thread(client.hears_the_end)
                if waits < 1:  # it is closed while the client still has it open
                    await until_served(parties.served, address.port)
            await until_served(parties.served, address.port)

    run(asyncio.wait_for(refuse(), 30))


def test_a_connection_that_the_client_has_refused_is_closed_at_once(
    parties: Parties, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_alerts, "_SECONDS_AFTER_ALERT", 3600)
    observer, limits = Refusals(), ConnectionLimits(max_connections=1, handshake_seconds=3600)
    trusts_nobody = ssl.create_default_context()

    async def refuse() -> None:
        source = IdentitySource(parties.identity, observer)
        async with accepting(Echo, "127.0.0.1:0", source, limits) as address:
            client = await asyncio.to_thread(RawClient, trusts_nobody, address.port)
            with client.socket:
                error = await asyncio.to_thread(client.until_done, client.tls.do_handshake)
                assert "CERTIFICATE_VERIFY_FAILED" in error
                await until_served(parties.served, address.port)

    run(asyncio.wait_for(refuse(), 30))
    assert [refusal.reason.value for refusal in observer.found] == ["refused_by_peer"]


def record(length: int, body: bytes) -> bytes:
    """Return a record that says it is application data (RFC 8446, section 5.2)."""
    return bytes([23, 3, 3]) + length.to_bytes(2) + body


# OpenSSL 3.2 and newer tell Python no more of any of them than this.
HIDDEN: Final = ssl.OPENSSL_VERSION_INFO >= (3, 2) and "RECORD_LAYER_FAILURE"

FAULTS: Final = {
    # the record, OpenSSL's error, and the alert that the client reads
    "spoiled": (record(64, bytes(64)), "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_RECORD_MAC"),
    "too long": (record(20_000, bytes(20_000)), "LENGTH_TOO_LONG", "RECORD_OVERFLOW"),
    "out of turn": (
        bytes([22, 3, 3, 0, 4, 0, 0, 0, 0]),  # a message of the handshake, not encrypted
        "BAD_RECORD_TYPE",
        "UNEXPECTED_MESSAGE",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_after_the_handshake_sends_its_alert_and_is_logged(
    parties: Parties, run: Run, kind: str
) -> None:
    """A sound record on the same connection was answered before."""
    sent, error, alert = FAULTS[kind]

    def spoil(port: int) -> str:
        client = RawClient(parties.served, port)
        with client.socket:
            assert client.until_done(client.tls.do_handshake) == ""
            client.say(b"sound")
            client.socket.sendall(sent)
            error_text = client.until_done(lambda: client.tls.read(1))
            assert client.hears_the_end()
        return error_text

    async def serve() -> str:
        async with served(parties, Refusals()) as port:
            return await asyncio.to_thread(spoil, port)

    with capture_logs() as lines:
        assert alert in run(serve())
    [line] = [line for line in lines if line["event"] == "connection.closed"]
    assert (line["reason"], line["peer"].split(":")[0]) == ("tls_error", "127.0.0.1")
    assert (HIDDEN or error) in line["error"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_in_the_handshake_sends_its_alert_and_is_not_taken_for_plaintext(
    parties: Parties, run: Run, kind: str
) -> None:
    """The record comes in place of the client's certificate; with that, it is served."""
    sent, error, alert = FAULTS[kind]
    observer = Refusals()

    def spoil(port: int) -> str:
        client = RawClient(parties.served, port)
        with client.socket:
            client.until_its_turn()
            client.socket.sendall(sent)
            client.outgoing.read()
            error_text = client.until_done(lambda: client.tls.read(1))
            assert client.hears_the_end()
        return error_text

    async def serve() -> str:
        async with served(parties, observer) as port:
            [honest] = await attempt_often(parties.served, port, 1)
            assert honest.error == ""
            return await asyncio.to_thread(spoil, port)

    assert alert in run(serve())
    [refusal] = observer.found
    assert refusal.reason.value == "handshake_failed"
    assert (alert if HIDDEN else error) in refusal.error


def test_an_alert_of_the_client_after_the_handshake_is_logged(parties: Parties, run: Run) -> None:
    def alert(port: int) -> None:
        client = RawClient(parties.served, port)
        with client.socket:
            assert client.until_done(client.tls.do_handshake) == ""
            client.say(b"sound")
            client.incoming.write(record(64, bytes(64)))  # as if the server had sent this
            error = client.until_done(lambda: client.tls.read(1))
            assert (HIDDEN or "BAD_RECORD_MAC") in error
            assert client.hears_the_end()

    async def serve() -> None:
        async with served(parties, Refusals()) as port:
            await asyncio.to_thread(alert, port)

    with capture_logs() as lines:
        run(serve())
    assert [
        (line["event"], line["reason"], line["error"])
        for line in lines
        if line["event"] == "connection.closed"
    ] == [("connection.closed", "tls_error", "SSLV3_ALERT_BAD_RECORD_MAC")]


def test_a_refused_connection_is_forgotten_at_once(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On uvloop, where we serve. asyncio itself leaves a failed handshake to the collector."""
    connections: list[weakref.ref[ssl.SSLObject]] = []
    wrap_bio = ssl.SSLContext.wrap_bio

    def watched(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        connection = wrap_bio(self, *args, **kwargs)
        connections.append(weakref.ref(connection))
        return connection

    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", watched)

    async def refuse() -> None:
        async with served(parties, Refusals()) as port:
            await attempt_often(parties.refused["expired"], port, REFUSALS)

    gc.disable()
    try:
        LOOPS["uvloop"](refuse())
        assert len(connections) == REFUSALS
        assert [connection() for connection in connections if connection()] == []
    finally:
        gc.enable()


def test_an_accepted_connection_goes_on_unwatched(parties: Parties, run: Run) -> None:
    """Watching every record would cost half as much again as decrypting it."""
    accepted: list[asyncio.BaseTransport] = []

    class Keep(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.append(transport)

    async def serve() -> tuple[object, bytes]:
        source = IdentitySource(parties.identity, Reporter())
        async with accepting(Keep, "127.0.0.1:0", source) as address:
            await attempt_often(parties.served, address.port, 1)
            connection = accepted[0].get_extra_info("ssl_object")
            return connection.context._msg_callback, connection.presented  # noqa: SLF001

    assert run(serve()) == (None, b"")


async def stock_server(context: ssl.SSLContext) -> asyncio.Server:
    """Serve as anybody would, without services/mtls."""
    return await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, ssl=context)


def stock_context(parties: Parties) -> ssl.SSLContext:
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cadata=parties.identity.ca_pem.decode("ascii")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(parties.identity.folder / KEY_PAIR)
    return context


def test_without_our_help_a_refused_client_is_told_nothing(parties: Parties, run: Run) -> None:
    async def refuse() -> list[Attempt]:
        server = await stock_server(stock_context(parties))
        async with server:
            return await attempt_often(
                parties.refused["expired"], server.sockets[0].getsockname()[1], 10
            )

    attempts: list[Attempt] = run(refuse())
    alerts = [found.error for found in attempts if "ALERT" in found.error]
    assert not alerts, (
        f"This event loop sends TLS alerts by itself now (python/cpython#98078): {alerts[0]}. "
        "If the other loop and the oldest Python that we support do so too, take out of "
        "services/mtls/reporting/tls_alerts.py what keeps the error back, and leave the report."
    )


@pytest.mark.skipif(sys.version_info < (3, 13), reason="get_unverified_chain came with 3.13")
def test_public_api_does_not_show_a_refused_certificate(parties: Parties) -> None:
    chains = []

    class Curious(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError:
                chains.append(self.get_unverified_chain())  # type: ignore[attr-defined]
                raise

    async def refuse() -> None:
        context = stock_context(parties)
        context.sslobject_class = Curious
        server = await stock_server(context)
        async with server:
            await attempt_often(parties.refused["expired"], server.sockets[0].getsockname()[1], 1)

    asyncio.run(refuse())
    assert chains == [[]], (
        "OpenSSL keeps a refused chain now: let services/mtls/reporting/tls_alerts.py ask "
        "get_unverified_chain, "
        "and take watch_handshakes out of services/mtls/reporting/presented.py."
    )
