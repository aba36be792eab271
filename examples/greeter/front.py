"""front: an HTTP server with one route, GET /hello, which calls greeter."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mtls import PEER, Address, IdentitySource, Role, listening, mtls_channel, protect

import grpc.aio
import structlog
from aiohttp import web

from config import Config
from runtime.service import run_service

ALLOWED = {"GET /hello": {"client/alice"}, "GET /healthz": {"probe"}}  # the policy
log = structlog.get_logger(__name__)


@asynccontextmanager
async def serving(config: Config, identity: IdentitySource) -> AsyncIterator[Address]:
    """Serve while the body runs; yield the address that is listened to."""
    async with mtls_channel(config.greeter, identity) as channel:
        greeter_hello = channel.unary_unary("/greeter.v1.Greeter/Hello", bytes, bytes)

        async def hello(request: web.Request) -> web.Response:
            log.info("hello.called", identity=str(request[PEER].spiffe_id))
            try:
                text = await greeter_hello(request[PEER].name.encode(), timeout=5)
            except grpc.aio.AioRpcError as error:
                raise web.HTTPServiceUnavailable(text="Try again later.\n") from error
            return web.Response(text=f"{text.decode()}\n")

        async def health(_request: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        app = web.Application()
        app.router.add_get("/hello", hello)
        app.router.add_get("/healthz", health)
        protect(app, identity, ALLOWED)
        async with listening(app, config.listen, identity, shutdown_timeout=20) as address:
            yield address


if __name__ == "__main__":
    sys.exit(run_service(Config, serving, Role.SERVER, Role.CLIENT))
