"""An HTTP server of aiohttp with mutual TLS: who may call what, and the listener.

protect(app, identity, {"GET /hello": {"client/viewer"}})
async with listening(app, "0.0.0.0:8443", identity): ...
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast

from mtls.address import Address
from mtls.authorizer import Authorizer
from mtls.connection_limiter import ConnectionLimits
from mtls.http_listener import accepting, age_of
from mtls.identity_source import IdentitySource
from mtls.observer import Observer
from mtls.peer import Peer, PeerError, peer_of_request
from mtls.policy import Allowed, Denied

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

PEER: Final = web.RequestKey("PEER", Peer)
"""Who calls: `request[PEER]` in a handler."""

_MAX_AGE_SECONDS: Final = 3600.0
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
# For browsers. A handler may send others in their place: a page of ours, for example, has scripts.
_SAFE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class CrossSite(Denied):
    """A web page of another site made a browser send this, with its user's certificate."""

    reason = "cross_site"

    def __str__(self) -> str:
        return (
            "A page of another site sent this: requests that change something are taken from pages "
            "of this server, and from programs, which send neither Origin nor Sec-Fetch-Site."
        )


def protect(
    app: web.Application,
    source: IdentitySource,
    allowed: Allowed,
    *,
    max_connection_age_seconds: float = _MAX_AGE_SECONDS,
) -> None:
    """Let only those requests reach `app` that `allowed` names; put who calls in `request[PEER]`.

    An action is the method and the route, such as `GET /orders/{id}`. HEAD is judged as GET
    (RFC 9110, section 9.3.2). What is denied is answered with 403 as problem details (RFC 9457),
    also when the certificate has expired or was revoked since the handshake: `reason` says why.
    What has no route is 404 or 405 for a peer that may call something here. A connection that is
    older than the limit ends with its next response: its client connects and is verified again.

    A browser sends its certificate with every request that any web page makes it send: what changes
    something and comes from another site is denied. Responses have the headers that keep a browser
    from running what is in them, unless a handler sets its own.
    """
    authorizer = Authorizer("http", allowed, source)

    @web.middleware
    async def authorize(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        action, missing = _action_of(request), request.match_info.http_exception
        try:
            peer = authorizer.authorize(
                partial(peer_of_request, request), action, exists=missing is None
            )
            if _is_cross_site(request):
                error = CrossSite(peer, action, "the request came from a page of another site")
                authorizer.deny(error, action)
                raise error
        except (Denied, PeerError) as error:
            return _denial(request, error)
        request[PEER] = peer
        if missing:
            return _missing(request, missing)
        return await handler(request)

    async def on_response_prepare(request: web.Request, response: web.StreamResponse) -> None:
        peer = request.get(PEER)
        if peer is None:  # it was denied; but perhaps it has a name
            with suppress(PeerError):
                peer = peer_of_request(request)
        authorizer.finish(peer, _action_of(request), str(response.status))
        response.headers.popall("Server", None)  # tells an attacker which faults to try
        for name, value in _SAFE_HEADERS.items():
            response.headers.setdefault(name, value)
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
    server = cast("web.Server", runner.server)
    # aiohttp has no other way to choose the class of its connections.
    options = server._kwargs  # noqa: SLF001
    new_connection = partial(
        _Connection, source.observer, server, loop=asyncio.get_running_loop(), **options
    )
    try:
        async with accepting(new_connection, address, source, limits) as real:
            yield real
    finally:
        await runner.cleanup()


def _action_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} {resource.canonical if resource else '(no such route)'}"


def _is_cross_site(request: web.Request) -> bool:
    """Whether a browser says that a page of another site made it change something here.

    Browsers have sent Sec-Fetch-Site since 2023, and Origin with what is no GET for longer; a page
    can leave out neither. `Origin: null` stands for a page without an origin of its own.
    """
    if request.method in _SAFE_METHODS:
        return False
    if sites := request.headers.getall("Sec-Fetch-Site", ()):
        return not {"same-origin", "none"}.issuperset(sites)
    own = f"https://{request.host}".lower()
    return any(origin.lower() != own for origin in request.headers.getall("Origin", ()))


def _denial(request: web.Request, error: Denied | PeerError) -> web.Response:
    # Never 401: that names a scheme of HTTP authentication to try again with (RFC 9110, section
    # 15.5.2), and a certificate of TLS has none. The detail says what to do.
    return _problem(request, HTTPStatus.FORBIDDEN, str(error), {}, reason=error.reason)


def _missing(request: web.Request, error: web.HTTPException) -> web.Response:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"This path does not take {request.method}: use one of {allowed}."
        return _problem(request, HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": allowed})
    return _problem(request, HTTPStatus.NOT_FOUND, "There is no such path: check the URL.", {})


def _problem(
    request: web.BaseRequest,
    status: HTTPStatus,
    detail: str,
    headers: Mapping[str, str],
    *,
    kind: type[web.Response] = web.Response,
    **more: str,
) -> web.Response:
    # Without a `type` of its own, a problem's title is the status phrase (RFC 9457, section 4.2.1).
    problem = {"title": status.phrase, "status": status.value, "detail": detail, **more}
    body = json.dumps(problem, separators=(",", ":"), ensure_ascii=False).encode()
    response = kind(
        status=status, body=body, headers=headers, content_type="application/problem+json"
    )
    if request.can_read_body:
        response.force_close()  # tells the client not to send the rest: nobody reads it
    return response


class _Connection(RequestHandler):
    """A connection of aiohttp's, whose own errors are problem details and one line in the log.

    They arise where there is no route yet: the request is no HTTP, or larger than allowed.
    """

    __slots__ = ("_observer",)

    def __init__(self, observer: Observer, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._observer = observer

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  may repeat what the client sent
    ) -> web.StreamResponse:
        """Return the response to an error that no handler has answered."""
        if status == HTTPStatus.BAD_REQUEST:
            status, detail = _fault_of(exc)
            host, port, *_ = request.get_extra_info("peername")
            peer = str(Address(host, port))
            self._observer.request_malformed("http", peer, status, type(exc).__name__)
        else:
            detail = "Something went wrong in the server: try again later."
            gone = request.transport is None or request.transport.is_closing()
            if isinstance(exc, Exception) and not (gone and isinstance(exc, ConnectionError)):
                self._observer.failed("A request was not answered", exc)
        if request.writer.output_size > 0:
            raise ConnectionError  # a part of another response is out
        response = _problem(request, HTTPStatus(status), detail, _SAFE_HEADERS, kind=_Unsigned)
        response.force_close()
        return response


class _Unsigned(web.Response):
    """A response without the name and version of the server's software.

    Here no `on_response_prepare` is called, which takes it out of all others.
    """

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


def _fault_of(error: BaseException | None) -> tuple[HTTPStatus, str]:
    """Return the status of what aiohttp's parser does not take, and what to do about it."""
    if isinstance(error, LineTooLong) and isinstance(error.args[0], bytearray):  # else bytes
        return HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long: send a shorter one."
    if isinstance(error, LineTooLong) or "Too many headers" in str(error):
        detail = "A header is too long, or there are too many: send shorter ones, and fewer."
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail
    return HTTPStatus.BAD_REQUEST, "This is not HTTP/1.1 as it should be: check your client."
