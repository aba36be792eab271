"""Who may talk to the console: its own pages, in a browser that was given the address it printed.

Anybody who reaches the port acts as `console`. The port is reached by every container beside it, by
every user of the machine, and by every web page that the machine's browsers show. So nothing is
answered, the page itself included, unless three things are right:

    Host     one of the names that the console is published as. A page of another site that rebinds
             its own name to our address (DNS rebinding) still sends that name.
    origin   no browser says that a page of another origin sent this (Sec-Fetch-Site, Origin).
    token    the random one in the address that was printed, or the cookie that it is changed for.

A cookie knows no port: a browser sends it to every server on the same host name. SameSite=Strict
keeps it from other sites, not from another port of this machine; so the cookie is not the token,
ends with this process, and what changes something has to come from our own origin besides.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import urlsplit

from aiohttp import hdrs, web

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})  # what a console answers; RFC 9110, section 9.2.1

# Scripts, styles and pictures are files of ours. There is no inline script or style, and no form
# that is sent by itself; nobody may put the page into a frame. blob: is what the page itself draws.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
SAFE_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """The secrets of this process, and the names that it is published as."""

    url: str
    token: str
    session: str
    hosts: frozenset[str]

    @classmethod
    def create(cls, url: str) -> Self:
        """Make new secrets for a console that browsers find at `url`."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        return cls(
            url=url,
            token=secrets.token_urlsafe(),
            session=secrets.token_urlsafe(),
            hosts=_LOOPBACK | {_without_port(host)},
        )

    @property
    def address(self) -> str:
        """What to open: it holds the token."""
        return f"{self.url}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The cookie's name. It holds the port, so that two consoles on a machine have two."""
        return f"console-{urlsplit(self.url).port or 80}"

    def is_published_as(self, host: str) -> bool:
        """Whether `host`, as a browser sends it, is one of our names."""
        return _without_port(host.lower()) in self.hosts

    def has_token(self, request: web.Request) -> bool:
        """Whether the address holds the token."""
        return _is(request.query.get("token", ""), self.token)

    def has_session(self, request: web.Request) -> bool:
        """Whether the browser has the cookie of this process."""
        return _is(request.cookies.get(self.cookie, ""), self.session)


def _is(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


EXPOSURE: Final = web.AppKey("EXPOSURE", Exposure)


@web.middleware
async def guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer nothing but why not, unless host, origin and token are right."""
    exposure = request.app[EXPOSURE]
    if not has_own_host(request):
        return _refusal(
            request,
            HTTPStatus.FORBIDDEN,
            f"The console is not published under this name. Open {exposure.url} instead.",
        )
    if is_from_elsewhere(request):
        return _refusal(
            request, HTTPStatus.FORBIDDEN, "A page of another origin sent this: nothing was done."
        )
    if request.path == "/" and exposure.has_token(request):
        return _welcome(exposure)
    if not exposure.has_session(request):
        return _refusal(request, HTTPStatus.UNAUTHORIZED, _HOW_TO_OPEN)
    return await handler(request)


_HOW_TO_OPEN: Final = (
    "This console answers only to who has its token.\n\n"
    "Open the address that it printed when it started:\n\n"
    "    docker compose logs console | grep Open\n\n"
    "With scripts/demo --keep it is the last line in the terminal. After a restart of the console\n"
    "there is a new one.\n"
)


def has_own_host(request: web.Request) -> bool:
    """Whether the request names one host, and it is ours (RFC 9112, section 3.2)."""
    hosts = request.headers.getall(hdrs.HOST, ())
    return len(hosts) == 1 and request.app[EXPOSURE].is_published_as(hosts[0])


def is_from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that a page of another origin sent the request.

    A link on another site may lead to the page, which is then asked for the token. It may not
    fetch, frame or change anything. What changes something has to say that it comes from here:
    browsers have sent Origin with every POST and DELETE for longer than they know SameSite.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site", "")
    is_safe = request.method in _SAFE_METHODS
    if site not in {"", "same-origin", "none"}:
        follows_a_link = is_safe and headers.get("Sec-Fetch-Dest") == "document"
        return not follows_a_link
    own = f"http://{request.host}".lower()
    origins = [origin.lower() for origin in headers.getall(hdrs.ORIGIN, ())]
    if is_safe:
        return any(origin != own for origin in origins)
    return origins != [own]


def _welcome(exposure: Exposure) -> web.Response:
    """Exchange the token for the cookie, and lead to the address without it."""
    response = web.Response(
        status=HTTPStatus.SEE_OTHER, headers={hdrs.LOCATION: "/", hdrs.CACHE_CONTROL: "no-store"}
    )
    response.set_cookie(
        exposure.cookie, exposure.session, path="/", httponly=True, samesite="Strict"
    )
    return response


def _refusal(request: web.Request, status: HTTPStatus, text: str) -> web.Response:
    response = web.Response(status=status, text=text, headers={hdrs.CACHE_CONTROL: "no-store"})
    if status == HTTPStatus.UNAUTHORIZED:  # RFC 9110, section 15.5.2, asks for a scheme
        response.headers[hdrs.WWW_AUTHENTICATE] = "Token"
    if request.can_read_body:
        response.force_close()  # tells the client not to send the rest: nobody reads it
    return response


async def add_safe_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Give every response the headers that keep a browser from doing more with it than we mean."""
    response.headers.popall(hdrs.SERVER, None)  # tells an attacker which faults to try
    response.headers.update(SAFE_HEADERS)


def expose(app: web.Application, exposure: Exposure) -> None:
    """Guard every route of `app`, and what has no route."""
    app[EXPOSURE] = exposure
    app.middlewares.insert(0, guard)  # before all others
    app.on_response_prepare.append(add_safe_headers)
