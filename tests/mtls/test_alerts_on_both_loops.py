"""What a refused HTTP client is told and what we know of it, on asyncio and on uvloop.

Two of the claims are about the libraries. When they fail, code of ours has become superfluous.
"""

import asyncio
import gc
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls.connection_limiter import ConnectionLimits
from mtls.http_listener import accepting
from mtls.identity import KEY_PAIR
from mtls.identity_source import IdentitySource
from mtls.observer import Observer
from mtls.refusals import Refusal
from mtls.reporting.events import Reporter
from mtls.reporting.presented import Presented

import pytest

from tests.mtls.in_process import LOOPS, Echo, Knock, Place, Run, knock, make_place
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
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("place"))


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
async def served(place: Place, observer: Observer) -> AsyncIterator[int]:
    """Yield the port of a server."""
    source = IdentitySource(place.identity, observer)
    async with accepting(Echo, "127.0.0.1:0", source) as address:
        yield address.port


async def knock_often(context: ssl.SSLContext, port: int, times: int) -> list[Knock]:
    def knocks() -> list[Knock]:
        return [knock(context, port) for _ in range(times)]

    return await asyncio.to_thread(knocks)


@pytest.mark.parametrize("reason", TLS_ALERTS)
def test_each_refusal_sends_its_alert_and_is_reported_once(
    place: Place, run: Run, reason: str
) -> None:
    observer = Refusals()

    async def refuse() -> list[Knock]:
        async with served(place, observer) as port:
            [honest] = await knock_often(place.served, port, 1)
            assert honest.words == ""
            return await knock_often(place.refused[reason], port, REFUSALS)

    knocks: list[Knock] = run(refuse())
    assert [found.words for found in knocks if TLS_ALERTS[reason] not in found.words] == []
    assert [refusal.reason.value for refusal in observer.found] == [reason] * REFUSALS
    assert [refusal.peer for refusal in observer.found] == [found.peer for found in knocks]
    presented = {Presented.parse(refusal.presented) for refusal in observer.found}
    if reason in WITHOUT_CERTIFICATE:
        assert presented == {None}
    else:
        [shown] = presented
        assert shown is not None
        assert "client/uploader" in shown.subject


def test_a_handshake_that_takes_too_long_is_reported_once(place: Place, run: Run) -> None:
    """One that was refused before, and whose client then stays silent, was reported for that."""
    observer, limits = Refusals(), ConnectionLimits(handshake_seconds=0.2)

    def stay(port: int, first_bytes: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(first_bytes)
            while client.recv(4096):  # until the server closes
                pass

    async def wait() -> None:
        source = IdentitySource(place.identity, observer)
        async with accepting(Echo, "127.0.0.1:0", source, limits) as address:
            for first_bytes in (b"", old_hello()):
                await asyncio.to_thread(stay, address.port, first_bytes)

    run(wait())
    assert [refusal.reason.value for refusal in observer.found] == ["timeout", "protocol_version"]
    assert all(refusal.peer for refusal in observer.found)


def test_a_refused_connection_is_forgotten_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
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
        async with served(place, Refusals()) as port:
            await knock_often(place.refused["expired"], port, REFUSALS)

    gc.disable()
    try:
        LOOPS["uvloop"](refuse())
        assert len(connections) == REFUSALS
        assert [connection() for connection in connections if connection()] == []
    finally:
        gc.enable()


def test_an_accepted_connection_goes_on_unwatched(place: Place, run: Run) -> None:
    """Watching every record would cost half as much again as decrypting it."""
    accepted: list[asyncio.BaseTransport] = []

    class Keep(Echo):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.append(transport)

    async def serve() -> tuple[object, bytes]:
        source = IdentitySource(place.identity, Reporter())
        async with accepting(Keep, "127.0.0.1:0", source) as address:
            await knock_often(place.served, address.port, 1)
            connection = accepted[0].get_extra_info("ssl_object")
            return connection.context._msg_callback, connection.presented  # noqa: SLF001

    assert run(serve()) == (None, b"")


async def stock_server(context: ssl.SSLContext) -> asyncio.Server:
    """Serve as anybody would, without services/mtls."""
    return await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, ssl=context)


def stock_context(place: Place) -> ssl.SSLContext:
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cadata=place.identity.ca_pem.decode("ascii")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(place.identity.folder / KEY_PAIR)
    return context


def test_without_our_help_a_refused_client_is_told_nothing(place: Place, run: Run) -> None:
    async def refuse() -> list[Knock]:
        server = await stock_server(stock_context(place))
        async with server:
            return await knock_often(
                place.refused["expired"], server.sockets[0].getsockname()[1], 10
            )

    knocks: list[Knock] = run(refuse())
    alerts = [found.words for found in knocks if "ALERT" in found.words]
    assert not alerts, (
        f"This event loop sends TLS alerts by itself now (python/cpython#98078): {alerts[0]}. "
        "If the other loop and the oldest Python that we support do so too, take out of "
        "services/mtls/reporting/tls_alerts.py what keeps the error back, and leave the report."
    )


@pytest.mark.skipif(sys.version_info < (3, 13), reason="get_unverified_chain came with 3.13")
def test_public_api_does_not_show_a_refused_certificate(place: Place) -> None:
    chains = []

    class Curious(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError:
                chains.append(self.get_unverified_chain())  # type: ignore[attr-defined]
                raise

    async def refuse() -> None:
        context = stock_context(place)
        context.sslobject_class = Curious
        server = await stock_server(context)
        async with server:
            await knock_often(place.refused["expired"], server.sockets[0].getsockname()[1], 1)

    asyncio.run(refuse())
    assert chains == [[]], (
        "OpenSSL keeps a refused chain now: let services/mtls/reporting/tls_alerts.py ask "
        "get_unverified_chain, "
        "and take keep_presented out of services/mtls/reporting/presented.py."
    )
