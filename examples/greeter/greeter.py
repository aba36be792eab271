"""greeter: a gRPC server with one RPC, Hello, which front alone may call."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls import Address, IdentitySource, Role, add_mtls_port, authorize_calls, peer_of

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2_grpc

from config import Config
from runtime.service import run_service

ALLOWED: Final = {  # the policy: a method that is not here is refused to everybody
    "/greeter.v1.Greeter/Hello": {"front"},
    "/grpc.health.v1.Health/Check": {"probe"},
}
# services/video_queue/server.py has more of these limits, and says what each is for.
LIMITS: Final = [("grpc.max_allowed_incoming_connections", 100), ("grpc.so_reuseport", 0)]
log = structlog.get_logger(__name__)


async def hello(name: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
    """Say hello to whom the caller names; plain bytes, in place of the messages of a .proto."""
    log.info("hello.called", identity=str(peer_of(context).spiffe_id))
    return b"Hello, %b!" % name


@asynccontextmanager
async def serving(config: Config, identity: IdentitySource) -> AsyncIterator[Address]:
    """Serve while the body runs; yield the address that is listened to."""
    server = grpc.aio.server(interceptors=[authorize_calls(identity, ALLOWED)], options=LIMITS)
    method = grpc.unary_unary_rpc_method_handler(hello, bytes, bytes)
    server.add_registered_method_handlers("greeter.v1.Greeter", {"Hello": method})
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    address = add_mtls_port(server, config.listen, identity)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(grace=20)


if __name__ == "__main__":
    sys.exit(run_service(Config, serving, Role.SERVER, serves_grpc=True))
