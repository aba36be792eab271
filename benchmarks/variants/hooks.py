"""The same services over the same mutual TLS, without what services/mtls does on top of it.

Taken out: authorization, who the peer is (taken as known), the reasons of refusals, the counts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mtls import ssl_contexts

import grpc.aio
from aiohttp import web

from benchmarks.variants.parts import UPLOADER, know_the_peer, replace


def take_out(service: str) -> None:
    """Take the hooks out of the service that is about to start."""
    know_the_peer(service)
    replace("runtime.service", "report_refusals", _no_reports)
    if service == "gateway":
        _bare_gateway()
    else:
        _bare_queue()


def _bare_gateway() -> None:
    def create_app(*arguments: Any) -> web.Application:
        app: web.Application = with_hooks(*arguments)
        app.middlewares.pop()  # `authorize`, the innermost
        app.on_response_prepare.clear()  # `count_responses`, `end_old_connections`
        return app

    with_hooks = replace("gateway.server", "create_app", create_app)
    replace("gateway.videos.handlers", "_caller", lambda _request: UPLOADER.spiffe_id)
    plain_context = ssl_contexts._server_context  # noqa: SLF001  what is measured is the rest
    replace("mtls.http_listener", "server_context", lambda identity, **_: plain_context(identity))


def _bare_queue() -> None:
    def server(*, interceptors: Any, **settings: Any) -> grpc.aio.Server:
        del interceptors
        bare: grpc.aio.Server = new_server(**settings)
        return bare

    new_server = replace("grpc.aio", "server", server)


@contextmanager
def _no_reports(_endpoint: str = "") -> Iterator[None]:
    yield
