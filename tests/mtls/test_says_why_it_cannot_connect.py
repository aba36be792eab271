"""To gRPC, every failed connection is UNAVAILABLE. Our clients look themselves and say why."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from mtls.address import Address
from mtls.certificates import Role
from mtls.grpc_client import mtls_channel
from mtls.identity import KEY_PAIR, Identity, load_identity
from mtls.identity_source import IdentitySource
from mtls.reporting.connection_probe import ADVICE, Cause, Finding, probe
from mtls.reporting.events import Reporter
from mtls.ssl_contexts import client_context

import grpc
import grpc.aio
import pytest
import structlog
from cryptography.hazmat.primitives.serialization import Encoding

from demo_identities import IDENTITIES, identity_named
from local_stack import Service, Stack
from pki.authority import Authority, Issued
from pki.identities import CLIENT
from pki.identity_folder import write_identity
from tests.mtls.foreign_servers import nobody
from tests.mtls.in_process import LOOPS
from tests.mtls.scrape import get_metrics

QUEUE: Final = identity_named("video-queue")
GATEWAY: Final = identity_named("gateway")
HOUR: Final = dt.timedelta(hours=1)
NOW: Final = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@pytest.fixture(scope="module")
def gateway(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Identity:
    folder = tmp_path_factory.mktemp("gateway")
    write_identity(folder, authority.issue(GATEWAY), authority.ca_pem)
    return load_identity(folder, roles=frozenset({Role.CLIENT}))


@pytest.fixture(params=LOOPS)
def look(request: pytest.FixtureRequest, gateway: Identity) -> Callable[[Address], Finding]:
    """Probe an address as the gateway, on one of the event loops."""

    def look(address: Address, seconds: float = 30) -> Finding:
        context = client_context(gateway, protocols=("h2",))
        finding: Finding = LOOPS[request.param](probe(address, context, seconds=seconds))
        return finding

    return look


@contextmanager
def grpc_server(issued: Issued, trusted_pem: bytes) -> Iterator[Address]:
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        credentials = grpc.ssl_server_credentials(
            [(issued.key_pem, issued.chain_pem)], trusted_pem, require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield Address("localhost", port)
        finally:
            server.stop(None).wait()


CERTIFICATES: Final[dict[Cause, dict[str, Any]]] = {
    Cause.NO_FAULT_FOUND: {},
    Cause.SERVER_EXPIRED: {"not_before": NOW - 2 * HOUR, "not_after": NOW - HOUR},
    Cause.SERVER_NOT_YET_VALID: {"not_before": NOW + HOUR},
    Cause.SERVER_WRONG_PURPOSE: {"ekus": [CLIENT]},
    Cause.SERVER_WRONG_NAME: {"dns_names": ["gateway"]},
    Cause.SERVER_BAD_CERTIFICATE: {"dns_names": ["localhost", "evil.test"]},
}


@pytest.mark.parametrize("cause", CERTIFICATES)
def test_says_what_is_wrong_with_the_servers_certificate(
    authority: Authority, look: Callable[[Address], Finding], cause: Cause
) -> None:
    issued = authority.issue(QUEUE, **CERTIFICATES[cause])
    with grpc_server(issued, authority.ca_pem) as address:
        assert look(address).cause is cause


def test_says_that_the_server_is_of_another_ca(
    authority: Authority, look: Callable[[Address], Finding]
) -> None:
    with grpc_server(Authority.create(IDENTITIES).issue(QUEUE), authority.ca_pem) as address:
        assert look(address).cause is Cause.SERVER_UNKNOWN_CA


def test_says_that_the_server_refuses_us(
    authority: Authority, look: Callable[[Address], Finding]
) -> None:
    issued = authority.issue(QUEUE)
    with grpc_server(issued, Authority.create(IDENTITIES).ca_pem) as address:
        finding = look(address)
    shown = issued.certificate.public_bytes(Encoding.DER)  # it was verified before that
    assert finding == Finding(Cause.REFUSED_US, "closed when it had read our certificate", shown)


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[Address]:
    """Serve one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield Address("localhost", listener.getsockname()[1])
        thread.join()


def refusing(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Return how to serve one client, who is refused by `context`."""

    def serve(connection: socket.socket) -> None:
        with suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)

    return serve


def test_passes_on_the_alert_of_a_server_that_sends_one(
    gateway: Identity, look: Callable[[Address], Finding]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=Authority.create(IDENTITIES).ca_pem.decode("ascii"))
    context.load_cert_chain(gateway.folder / KEY_PAIR)
    with tcp_server(refusing(context)) as address:
        finding = look(address)
    assert (finding.cause, finding.error) == (Cause.REFUSED_US, "TLSV1_ALERT_UNKNOWN_CA")


def test_says_that_it_is_not_tls(look: Callable[[Address], Finding]) -> None:
    with tcp_server(lambda connection: connection.sendall(b"HTTP/1.1 400 ?\r\n\r\n")) as address:
        assert look(address).cause is Cause.NOT_TLS


def test_says_that_the_server_speaks_but_older_tls(
    gateway: Identity, look: Callable[[Address], Finding]
) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(gateway.folder / KEY_PAIR)

    with tcp_server(refusing(old)) as address:
        assert look(address).cause is Cause.PROTOCOL_VERSION


def test_says_that_the_connection_is_closed_in_the_handshake(
    look: Callable[[Address], Finding],
) -> None:
    with tcp_server(lambda connection: connection.shutdown(socket.SHUT_WR)) as address:
        assert look(address).cause is Cause.HANDSHAKE_FAILED


def test_says_that_nobody_answers(gateway: Identity) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which accepts nothing
        address = Address("localhost", listener.getsockname()[1])
        context = client_context(gateway)
        finding = asyncio.run(probe(address, context, seconds=0.1))
    assert finding == Finding(Cause.NO_ANSWER, "no answer within 0.1 seconds")


def test_says_that_nobody_listens(look: Callable[[Address], Finding]) -> None:
    with nobody() as address:
        assert look(Address.of(address)).cause is Cause.NOBODY_LISTENS


def test_says_that_the_name_is_unknown(look: Callable[[Address], Finding]) -> None:
    """RFC 6761, section 6.4: no name ends in .invalid."""
    assert look(Address("queue.invalid", 50051)).cause is Cause.NAME_NOT_RESOLVED


def test_there_is_advice_for_every_cause() -> None:
    assert set(ADVICE) == set(Cause)


async def test_a_channel_that_fails_is_explained_once_in_a_while(gateway: Identity) -> None:
    """Every attempt of the channel fails, and there are many; the next report is 30 s away."""
    options = [("grpc.initial_reconnect_backoff_ms", 1), ("grpc.max_reconnect_backoff_ms", 1)]
    with nobody() as address, structlog.testing.capture_logs() as logs:
        source = IdentitySource(gateway, Reporter())
        async with mtls_channel(address, source, options) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/any/Call")
            async with asyncio.timeout(30):
                while not logs:
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call(b"", timeout=30)
            for _ in range(5):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(b"", timeout=30)
    assert logs == [
        {
            "event": "connection.failed",
            "log_level": "warning",
            "address": address,
            "cause": "nobody_listens",
            "error": "Connection refused",
            "advice": ADVICE[Cause.NOBODY_LISTENS],
        }
    ]


async def test_a_channel_that_works_is_left_alone(authority: Authority, gateway: Identity) -> None:
    with (
        grpc_server(authority.issue(QUEUE), authority.ca_pem) as address,
        structlog.testing.capture_logs() as logs,
    ):
        async with mtls_channel(address, IdentitySource(gateway, Reporter())) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/any/Call")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", timeout=30)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert logs == []


@contextmanager
def queue_that_refuses(name: str, folder: Path) -> Iterator[tuple[Stack, Service]]:
    """Yield a stack and its queue, which does not know the CA of the identity `name`."""
    stack, foreign = Stack(folder), Authority.create(IDENTITIES)
    stack.write_certificates()
    both = stack.authority.ca_pem + foreign.ca_pem
    lists = stack.authority.crl() + foreign.crl()
    for caller, authority in ((name, foreign), ("probe", stack.authority)):
        issued = authority.issue(identity_named(caller))
        write_identity(stack.certs / caller, issued, both, crl_pem=lists)
    with stack.start_queue(GRPC_VERBOSITY="NONE") as queue:  # which must not silence it
        yield stack, queue


def both_say_why(caller: Service, queue: Service) -> None:
    """Assert that each says its part, though all the caller gets is a closed socket."""
    failed = caller.log.wait_for(lambda event: event["event"] == "connection.failed")
    refused = queue.log.wait_for(lambda event: event["event"] == "handshake.refused")
    assert (failed["cause"], failed["address"]) == ("refused_us", queue.address)
    assert failed["advice"] == ADVICE[Cause.REFUSED_US]
    assert refused["reason"] == "unknown_ca"


def test_the_gateway_says_why_the_queue_refuses_it(tmp_path: Path) -> None:
    with (
        queue_that_refuses("gateway", tmp_path) as (stack, queue),
        stack.start_gateway(queue.address) as gateway,
    ):
        assert get_metrics(gateway.address, stack.certs / "probe", "/healthz")[0] == 503
        both_say_why(gateway, queue)


def test_the_transcoder_says_why_the_queue_refuses_it(tmp_path: Path) -> None:
    with (
        queue_that_refuses("transcoder", tmp_path) as (stack, queue),
        stack.start_transcoder(queue.address) as transcoder,
    ):
        both_say_why(transcoder, queue)
