"""A server over HTTP and gRPC that uses services/mtls, but does not look at its own files.

    python -m tests.failures.careless_server FOLDER

The services refuse to start with most of the files that the failures need: `load_identity` sees
what is wrong. To show what clients say of such a server, this one skips that. And it leaves open
connections open, to show what the next call over one hears when its certificate has expired.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final
from unittest import mock

from mtls import Identity, IdentitySource, SpiffeId, add_mtls_port, authorize_calls, http_listener
from mtls.http_server import listening, protect
from mtls.identity import CA_CERTIFICATE, KEY_PAIR
from mtls.reporting.events import Reporter, configure_logging
from mtls.revocation import REVOKED, Revocations

import grpc.aio
import structlog
from aiohttp import web
from cryptography import x509
from grpc_health.v1 import health, health_pb2_grpc

from demo_identities import IDENTITIES

_log = structlog.get_logger(__name__)

_UPLOADER: Final = frozenset({"client/uploader"})
_ANY_PORT: Final = "127.0.0.1:0"


def careless_identity(folder: Path) -> Identity:
    """Return what is in the folder, right or wrong; only the key has to fit the certificate."""
    pem, lists = (folder / KEY_PAIR).read_bytes(), folder / REVOKED
    key_end = pem.index(b"-----BEGIN CERTIFICATE")
    return Identity(
        SpiffeId(IDENTITIES.trust_domain, "server"),
        x509.load_pem_x509_certificate(pem[key_end:]),
        chain_pem=pem[key_end:],
        key_pem=pem[:key_end],
        ca_pem=(folder / CA_CERTIFICATE).read_bytes(),
        revocations=Revocations.parse(lists.read_bytes()) if lists.exists() else None,
        folder=folder,
    )


async def _videos(_: web.Request) -> web.Response:
    return web.json_response({"videos": []})


async def serve(identity: Identity, reporter: Reporter) -> None:
    """Serve until it is cancelled."""
    source = IdentitySource(identity, reporter)
    app = web.Application()
    app.router.add_get("/videos", _videos)
    protect(app, source, {"GET /videos": _UPLOADER})
    allowed = {"/grpc.health.v1.Health/Check": _UPLOADER}
    server = grpc.aio.server(interceptors=[authorize_calls(source, allowed)])
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = add_mtls_port(server, _ANY_PORT, source).port
    await server.start()
    async with listening(app, _ANY_PORT, source) as http:
        _log.info("server.listening", http=http.port, grpc=port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    reporter = Reporter()
    leaving_open = mock.patch.object(http_listener, "CHECK_SECONDS", 3600.0)
    with leaving_open, reporter.reading_core_log("grpc"):
        configure_logging("json")
        asyncio.run(serve(careless_identity(Path(sys.argv[1])), reporter))
