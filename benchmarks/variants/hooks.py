"""The same services over the same mutual TLS, without what services/mtls does on top of it.

Taken out: authorization, who the peer is (taken as known), the reasons of refusals, the counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtls import PEER, Observer

import grpc.aio
from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.variants.parts import GATEWAY, UPLOADER, know_the_peer, replace


def take_out(service: str) -> None:
    """Take the hooks out of the service that is about to start."""
    know_the_peer(service)
    replace("runtime.service", "Reporter", _NoReports)
    if service == "gateway":
        _bare_gateway()
    else:
        _bare_queue()


def _bare_gateway() -> None:
    @web.middleware
    async def take_as_known(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[PEER] = UPLOADER
        return await handler(request)

    def protect(app: web.Application, *_: Any, **__: Any) -> None:
        app.middlewares.insert(0, take_as_known)

    replace("gateway.app", "protect", protect)


def _bare_queue() -> None:
    def server(*, interceptors: Any, **settings: Any) -> grpc.aio.Server:
        del interceptors
        bare: grpc.aio.Server = new_server(**settings)
        return bare

    new_server = replace("grpc.aio", "server", server)
    replace("video_queue.api.callers", "peer_of", lambda _context: GATEWAY)


class _NoReports(Observer):
    """In the place of the services' reporter."""

    @contextmanager
    def reading_core_log(self, _endpoint: str) -> Iterator[None]:
        yield
