"""GET /metrics, on an address of its own, over mutual TLS like everything else.

What is counted tells a stranger who calls what, and how often: plain HTTP would tell the whole
network. Prometheus has had client certificates since its first version (`tls_config`: ca_file,
cert_file, key_file). Not used is `prometheus_client.start_http_server(client_auth_required=True)`:
it lets in every certificate that the CA ever signed, and one client that connects and then says
nothing stops it for everybody, since it shakes hands in the thread that accepts.
"""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from mtls.address import Address
from mtls.authorizer import Authorizer
from mtls.certificates import CertificateError, Role, check_purpose
from mtls.connection_limiter import ConnectionLimits
from mtls.errors import ListenError
from mtls.http_listener import accepting
from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError, peer_of_request
from mtls.policy import Denied
from mtls.reporting.events import Reporter

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

_log = structlog.get_logger(__name__)

_ACTION: Final = "GET /metrics"
_MAX_REQUEST_BYTES: Final = 8 * 1024
_LIMITS: Final = ConnectionLimits(max_connections=16, max_connections_per_address=8)
_SECONDS: Final = 10  # for a request and its answer


@dataclass(frozen=True, slots=True)
class _Endpoint:
    authorizer: Authorizer
    registry: CollectorRegistry


@asynccontextmanager
async def serving_metrics(
    address: Address | None, source: IdentitySource, readers: AbstractSet[str]
) -> AsyncIterator[Address | None]:
    """Serve what the identity's `Reporter` counts to the peers named in `readers`.

    Does nothing if there is no address. Raises `ListenError`, also when the certificate is not one
    for a server.
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
    if not isinstance(source.observer, Reporter):
        raise ListenError(
            f"Cannot serve metrics on {address}: nothing is counted. Give watch_identity a "
            "Reporter as its observer."
        )
    endpoint = _Endpoint(
        Authorizer("metrics", {_ACTION: readers}, source), source.observer.metrics.registry
    )
    open_connections: set[asyncio.Task[None]] = set()

    def new_protocol() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(_MAX_REQUEST_BYTES)
        return asyncio.StreamReaderProtocol(reader, begin)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_answer(endpoint, reader, writer))
        open_connections.add(task)
        task.add_done_callback(open_connections.discard)

    async with accepting(new_protocol, address, source, _LIMITS, endpoint="metrics") as real:
        _log.info("metrics.listening", address=str(real), readers=sorted(readers))
        try:
            yield real
        finally:
            for task in open_connections:
                task.cancel()
            await asyncio.gather(*open_connections, return_exceptions=True)


async def _answer(
    endpoint: _Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one request and close: a question every few seconds needs no more of HTTP."""
    try:
        async with asyncio.timeout(_SECONDS):
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(endpoint, writer, request))
                await writer.drain()
                if not writer.is_closing():  # closed twice, asyncio's transport can do no more
                    writer.close()
                await writer.wait_closed()
    except TimeoutError:
        pass
    finally:
        writer.transport.abort()


def _response(endpoint: _Endpoint, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    line, _, _ = request.decode("latin-1").partition("\r\n")
    action = " ".join(line.partition("?")[0].split(" ")[:2])
    peer: Peer | None = None
    try:
        peer = endpoint.authorizer.authorize(partial(peer_of_request, writer), action)
        status, body = HTTPStatus.OK, generate_latest(endpoint.registry)
    except (Denied, PeerError) as error:
        peer = error.peer
        status, body = HTTPStatus.FORBIDDEN, f"{error}\n".encode()
    endpoint.authorizer.finish(peer, action, str(status.value))
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {CONTENT_TYPE_LATEST}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
