"""GET /metrics, on an address of its own, over mutual TLS like everything else.

What is counted tells a stranger who calls what, and how often: plain HTTP would tell the whole
network. Prometheus has had client certificates since its first version (`tls_config`: ca_file,
cert_file, key_file). Not used is `prometheus_client.start_http_server(client_auth_required=True)`:
it lets in every certificate that the CA ever signed, and one client that connects and then says
nothing stops it for everybody, since it shakes hands in the thread that accepts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final

from mtls.address import Address
from mtls.authorizer import Door
from mtls.certificates import CertificateError, Role, check_purpose
from mtls.connection_limiter import Limits
from mtls.http_listener import ListenError, listening
from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError, peer_of_request
from mtls.policy import Denied, Policy

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

_log = structlog.get_logger(__name__)

_ACTION: Final = "GET /metrics"
_READERS: Final = frozenset({"probe"})
_MAX_REQUEST_BYTES: Final = 8 * 1024
_LIMITS: Final = Limits(max_connections=16, max_connections_per_address=8)
_SECONDS: Final = 10  # for a request and its answer


@asynccontextmanager
async def serving_metrics(
    address: Address | None, source: IdentitySource, readers: frozenset[str] = _READERS
) -> AsyncIterator[Address | None]:
    """Serve the peers named in `readers`; do nothing if there is no address.

    Raises `ListenError`, also when the certificate is none for a server.
    """
    if address is None:
        yield None
        return
    try:
        check_purpose(source.current.certificate, Role.SERVER)
    except CertificateError as error:
        raise ListenError(
            f"Cannot serve metrics on {address}: {error} Have it issued with serverAuth."
        ) from error
    policy = Policy(source.current.spiffe_id.trust_domain, {_ACTION: readers})
    door = Door("metrics", policy, source)
    open_connections: set[asyncio.Task[None]] = set()

    def new_protocol() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(_MAX_REQUEST_BYTES)
        return asyncio.StreamReaderProtocol(reader, begin)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_answer(door, reader, writer))
        open_connections.add(task)
        task.add_done_callback(open_connections.discard)

    async with listening(address, source, new_protocol, _LIMITS, endpoint="metrics") as real:
        _log.info("metrics.listening", address=str(real), readers=sorted(readers))
        try:
            yield real
        finally:
            for task in open_connections:
                task.cancel()
            await asyncio.gather(*open_connections, return_exceptions=True)


async def _answer(door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close: a question every few seconds needs no more of HTTP."""
    try:
        async with asyncio.timeout(_SECONDS):
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(door, writer, request))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()


def _response(door: Door, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    line, _, _ = request.decode("latin-1").partition("\r\n")
    action = " ".join(line.partition("?")[0].split(" ")[:2])
    peer: Peer | None = None
    try:
        peer = door.admit(partial(peer_of_request, writer), action)
        status, body = HTTPStatus.OK, generate_latest()
    except (Denied, PeerError) as error:
        peer = error.peer if isinstance(error, Denied) else None
        status, body = HTTPStatus.FORBIDDEN, f"{error}\n".encode()
    door.count(peer, action, str(status.value))
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE_LATEST}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
