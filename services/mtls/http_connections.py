"""When an open HTTP connection ends: by its age, or because its certificate is good no more.

A certificate is verified when a connection is made. So a connection gets a greatest age, after
which it ends with the response that is due: no request is lost. One that goes on beyond that, in a
single endless request, or whose peer's certificate has lapsed, is cut off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TYPE_CHECKING

from mtls.address import Address
from mtls.identity import Identity
from mtls.peer import PeerError, peer_of_request
from mtls.reporting.events import log_limited
from mtls.standing import Lapsed, check_standing

if TYPE_CHECKING:  # the metrics endpoint needs no aiohttp
    from aiohttp import web


def end_old_connections(
    max_age_seconds: float,
) -> Callable[["web.Request", "web.StreamResponse"], Awaitable[None]]:
    """Return a handler for `on_response_prepare` that lets an old connection end with a response.

    The client reads in it that it has to connect again for its next request.
    """

    async def on_response_prepare(request: "web.Request", response: "web.StreamResponse") -> None:
        if request.transport and _age_of(request.transport) > max_age_seconds:
            response.force_close()
            response.headers["Connection"] = "close"

    return on_response_prepare


def cut_off_ended(
    endpoint: str,
    connections: Iterable[asyncio.Transport],
    identity: Identity,
    *,
    max_age_seconds: float,
) -> None:
    """Close the connections that are too old, and those of lapsed certificates."""
    for connection in connections:
        if reason := _reason_to_end(connection, identity, max_age_seconds):
            host, port, *_ = connection.get_extra_info("peername")
            peer = str(Address(host, port))
            log_limited(
                "connection.ended",
                f"{endpoint} {reason}",
                endpoint=endpoint,
                reason=reason,
                peer=peer,
            )
            connection.abort()


def _reason_to_end(
    connection: asyncio.Transport, identity: Identity, max_age_seconds: float
) -> str | None:
    try:
        check_standing(peer_of_request(connection), identity)
    except Lapsed as error:
        return error.reason.value
    except PeerError:
        pass  # it is known by no name, and gets no answer but 403
    return "too_old" if _age_of(connection) > max_age_seconds else None


def _age_of(connection: asyncio.BaseTransport) -> float:
    accepted_at: float = getattr(connection.get_extra_info("ssl_object"), "accepted_at", inf)
    return time.monotonic() - accepted_at
