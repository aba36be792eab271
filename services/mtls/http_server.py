"""The policy at the door of an HTTP application: no handler runs before it has said yes."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from mtls.authorizer import Door
from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError, peer_of_request
from mtls.policy import Policy

from aiohttp import web
from aiohttp.typedefs import Middleware

PEER: Final = web.RequestKey("PEER", Peer)


def authorize(policy: Policy, source: IdentitySource) -> Middleware:
    """Return a middleware that raises `Denied` or `PeerError` for what the policy does not name.

    `PeerError` is also for a certificate that has expired or was revoked since the handshake. What
    is named reaches its handler, with the peer as `request[PEER]`.

    An action is the method and the route, such as `GET /videos/{id}`. HEAD is judged as GET
    (RFC 9110, section 9.3.2). A path without a route has no name and is denied too.
    """
    door = Door("http", policy, source)

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request[PEER] = door.admit(partial(peer_of_request, request), _action_of(request))
        return await handler(request)

    return middleware


def count_responses(
    policy: Policy, source: IdentitySource
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a handler for `on_response_prepare`, where every response's status is known."""
    door = Door("http", policy, source)

    async def on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
        peer = request.get(PEER)
        if peer is None:  # it was not admitted; but perhaps it has a name
            with suppress(PeerError):
                peer = peer_of_request(request)
        door.count(peer, _action_of(request), str(response.status))

    return on_response_prepare


def _action_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} {resource.canonical if resource else '(no such route)'}"
