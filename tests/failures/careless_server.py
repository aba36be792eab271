"""A server over HTTP and gRPC that uses services/mtls, but does not look at its own files.

    python -m tests.failures.careless_server FOLDER

The services refuse to start with most of the files that the failures need: `load_identity` sees
what is wrong. To show what clients say of such a server, this one skips that, and nothing else.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

from mtls.address import Address
from mtls.connection_limiter import Limits
from mtls.grpc_endpoint import server_credentials
from mtls.grpc_server import AuthorizationInterceptor
from mtls.http_listener import listening
from mtls.http_server import authorize
from mtls.identity import CA_CERTIFICATE, KEY_PAIR, Identity
from mtls.identity_source import IdentitySource
from mtls.peer import PeerError
from mtls.policy import Denied, Policy
from mtls.reporting.events import configure_logging, report_refusals
from mtls.revocation import REVOKED, Revocations
from mtls.spiffe import SpiffeId

import grpc.aio
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography import x509
from grpc_health.v1 import health, health_pb2_grpc

from pki.identities import TRUST_DOMAIN

_log = structlog.get_logger(__name__)

_UPLOADER: Final = frozenset({"client/uploader"})
_POLICY: Final = Policy(
    TRUST_DOMAIN, {"GET /videos": _UPLOADER, "/grpc.health.v1.Health/Check": _UPLOADER}
)
_ANY_PORT: Final = Address("127.0.0.1", 0)


def careless_identity(folder: Path) -> Identity:
    """Return what is in the folder, right or wrong; only the key has to fit the certificate."""
    pem, lists = (folder / KEY_PAIR).read_bytes(), folder / REVOKED
    key_end = pem.index(b"-----BEGIN CERTIFICATE")
    return Identity(
        SpiffeId(TRUST_DOMAIN, "server"),
        x509.load_pem_x509_certificate(pem[key_end:]),
        chain_pem=pem[key_end:],
        key_pem=pem[:key_end],
        ca_pem=(folder / CA_CERTIFICATE).read_bytes(),
        revocations=Revocations.parse(lists.read_bytes()) if lists.exists() else None,
        folder=folder,
    )


@web.middleware
async def _say_no(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Denied, PeerError) as error:
        raise web.HTTPForbidden(text=f"{error}\n") from error


async def _videos(_: web.Request) -> web.Response:
    return web.json_response({"videos": []})


async def serve(identity: Identity) -> None:
    """Serve until it is cancelled."""
    source = IdentitySource(identity)
    app = web.Application(middlewares=[_say_no, authorize(_POLICY, source)])
    app.router.add_get("/videos", _videos)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server
    server = grpc.aio.server(interceptors=[AuthorizationInterceptor(_POLICY, source)])
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_secure_port(str(_ANY_PORT), server_credentials(source))
    await server.start()
    limits = Limits(max_connections=100, max_connections_per_address=100)
    async with listening(_ANY_PORT, source, runner.server, limits) as http:
        _log.info("server.listening", http=http.port, grpc=port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with report_refusals():
        configure_logging("json")
        asyncio.run(serve(careless_identity(Path(sys.argv[1]))))
