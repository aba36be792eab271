"""An HTTP server of aiohttp with mutual TLS: who may call what, and the listener.

protect(app, identity, {"GET /hello": {"client/viewer"}})
async with listening(app, "0.0.0.0:8443", identity): ...
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

from mtls.address import Address
from mtls.authorizer import Authorizer
from mtls.connection_limiter import ConnectionLimits
from mtls.http_listener import accepting, age_of
from mtls.identity_source import IdentitySource
from mtls.peer import NoLongerValid, Peer, PeerError, peer_of_request
from mtls.policy import Allowed, Denied

from aiohttp import web

PEER: Final = web.RequestKey("PEER", Peer)
"""Who calls: `request[PEER]` in a handler."""

_MAX_AGE_SECONDS: Final = 3600.0


def protect(
    app: web.Application,
    source: IdentitySource,
    allowed: Allowed,
    *,
    max_connection_age_seconds: float = _MAX_AGE_SECONDS,
) -> None:
    """Let only those requests reach `app` that `allowed` names; put who calls in `request[PEER]`.

    An action is the method and the route, such as `GET /videos/{id}`. HEAD is judged as GET
    (RFC 9110, section 9.3.2). A path without a route has no name and is denied too. What is denied
    is answered with 403, or 401 if the certificate has expired or was revoked since the handshake,
    as problem details (RFC 9457). A connection that is older than the limit ends with its next
    response, so that its client connects and is verified again.
    """
    authorizer = Authorizer("http", allowed, source)

    @web.middleware
    async def authorize(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            peer = authorizer.authorize(partial(peer_of_request, request), _action_of(request))
        except (Denied, PeerError) as error:
            return _denial(request, error)
        request[PEER] = peer
        return await handler(request)

    async def on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
        peer = request.get(PEER)
        if peer is None:  # it was denied; but perhaps it has a name
            with suppress(PeerError):
                peer = peer_of_request(request)
        authorizer.finish(peer, _action_of(request), str(response.status))
        if request.transport and age_of(request.transport) > max_connection_age_seconds:
            response.force_close()
            response.headers["Connection"] = "close"

    app.middlewares.insert(0, authorize)  # before all others
    app.on_response_prepare.append(on_response_prepare)


@asynccontextmanager
async def listening(
    app: web.Application,
    address: Address | str,
    source: IdentitySource,
    *,
    limits: ConnectionLimits | None = None,
    **runner_options: Any,
) -> AsyncIterator[Address]:
    """Serve `app` as the identity in use; yield the address, with the real port when that is 0.

    At the end no connection is accepted any more, and requests get `shutdown_timeout` seconds (60)
    to finish. `runner_options` are those of `aiohttp.web.AppRunner`. Raises `ListenError`.
    """
    runner = web.AppRunner(app, **{"access_log": None, **runner_options})
    await runner.setup()
    try:
        async with accepting(cast("web.Server", runner.server), address, source, limits) as real:
            yield real
    finally:
        await runner.cleanup()


def _action_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} {resource.canonical if resource else '(no such route)'}"


def _denial(request: web.Request, error: Denied | PeerError) -> web.Response:
    status = HTTPStatus.FORBIDDEN
    if isinstance(error, NoLongerValid):
        status = HTTPStatus.UNAUTHORIZED
    # Without a `type` of its own, a problem's title is the status phrase (RFC 9457, section 4.2.1).
    problem = {"title": status.phrase, "status": status.value, "detail": str(error)}
    body = json.dumps(problem, separators=(",", ":"), ensure_ascii=False).encode()
    response = web.Response(status=status, body=body, content_type="application/problem+json")
    if status is HTTPStatus.UNAUTHORIZED:  # RFC 9110, section 11.6.1, asks for a challenge
        response.headers["WWW-Authenticate"] = "TLS-Client-Certificate"
    if request.can_read_body:
        response.force_close()  # tells the client not to send the rest: nobody reads it
    return response
