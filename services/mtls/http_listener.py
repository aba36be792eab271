"""Accepting HTTP connections: bounded, and so that a refusal can say where it came from.

`loop.create_server(ssl=...)` tells nobody a connection's address before the handshake has
succeeded. So connections are accepted here, one by one, and handed to the event loop's TLS.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from mtls.address import Address
from mtls.connection_limiter import Limits, Places
from mtls.errors import MtlsError
from mtls.http_connections import cut_off_ended
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.refusals import Reason, Refusal
from mtls.reporting.events import log_limited, report_refusal
from mtls.reporting.tls_alerts import KNOCK, Knock
from mtls.ssl_contexts import server_context

_BACKLOG: Final = 128  # connections that wait to be accepted
_GOODBYE_SECONDS: Final = 2.0  # for the peer to end TLS too; what else it sends is thrown away
_RETRY_SECONDS: Final = 1.0  # until file descriptors may have become free


class ListenError(MtlsError):
    """The address cannot be listened to."""


@asynccontextmanager
async def listening(
    address: Address,
    source: IdentitySource,
    new_protocol: Callable[[], asyncio.BaseProtocol],
    limits: Limits,
    *,
    endpoint: str = "http",
) -> AsyncIterator[Address]:
    """Listen as the identity in force; yield the address, with the real port when that is 0.

    `new_protocol` is called for each connection. Those that are open at the end stay open.
    Raises `ListenError`.
    """
    context = source.derive(partial(server_context, endpoint=endpoint))
    loop, places = asyncio.get_running_loop(), Places(endpoint, limits)
    handshakes: set[asyncio.Task[None]] = set()

    async def shake_hands(connection: socket.socket, peer: Address) -> None:
        knock = Knock(str(peer))
        KNOCK.set(knock)
        try:
            transport, _ = await loop.connect_accepted_socket(
                new_protocol,
                connection,
                ssl=context.value,
                ssl_handshake_timeout=limits.handshake_seconds,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
            places.seat(connection, transport)
        except ConnectionAbortedError:  # this one is the event loop's own: the time is over
            if not knock.refused:
                words = f"no handshake within {limits.handshake_seconds:g} s"
                report_refusal(endpoint, Refusal(Reason.TIMEOUT, words, knock.peer))
        except OSError:  # reported where it was decided, and the socket is closed
            pass

    def take(accepted: socket.socket, peer: Address) -> None:
        if connection := places.give(accepted, peer):
            task = asyncio.create_task(shake_hands(connection, peer))
            handshakes.add(task)
            task.add_done_callback(handshakes.discard)

    def cut_off(identity: Identity) -> None:
        cut_off_ended(endpoint, places.seated(), identity, max_age_seconds=limits.max_age_seconds)

    sockets = await _bind(address)
    unsubscribe = source.subscribe(cut_off)
    accepting = [asyncio.create_task(_accept(listener, take)) for listener in sockets]
    try:
        yield Address(address.host, sockets[0].getsockname()[1])
    finally:
        unsubscribe()
        for task in (*accepting, *handshakes):
            task.cancel()
        await asyncio.gather(*accepting, *handshakes, return_exceptions=True)
        for listener in sockets:
            listener.close()


async def _bind(address: Address) -> list[socket.socket]:
    """Listen at every IP address that the host has: `localhost` often has two."""
    sockets: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, name in dict.fromkeys(found):
            listener = socket.create_server(name, family=family, backlog=_BACKLOG)
            listener.settimeout(0)
            sockets.append(listener)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ListenError(
            f"Cannot listen on {address} ({error.strerror}): another program may have the port, "
            "or the host is not one of this machine's."
        ) from error
    return sockets


async def _accept(listener: socket.socket, take: Callable[[socket.socket, Address], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, name = await loop.sock_accept(listener)
        except ConnectionAbortedError:  # it has gone while it waited
            continue
        except OSError as error:
            log_limited("server.cannot_accept", str(error.errno), reason=error.strerror)
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        take(connection, Address(name[0], name[1]))
        await asyncio.sleep(0)  # a flood that always has one more waiting leaves time for the rest
