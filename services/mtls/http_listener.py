"""Accepting TLS connections for HTTP: bounded, with a reason for every refusal, and for a time.

`loop.create_server(ssl=...)` tells nobody a connection's address before the handshake has
succeeded. So connections are accepted here, one by one, and handed to the event loop's TLS.

A certificate is verified when a connection is made. So a connection has a greatest age: it ends
with the first response after that (http_server), and no request is lost. One that goes on beyond,
in a single endless request, or whose peer's certificate is no longer valid, is closed here.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from mtls.address import Address
from mtls.connection_limiter import ConnectionLimiter, ConnectionLimits
from mtls.errors import ListenError
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.peer import CHECK_SECONDS, NoLongerValid, PeerError, peer_of_request
from mtls.refusals import PENDING_HANDSHAKE, PendingHandshake, Reason, Refusal
from mtls.rehearsal import rehearse_http_server
from mtls.ssl_contexts import server_context

_NOT_OF_THIS_MACHINE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_BACKLOG: Final = 128  # connections that wait to be accepted
_SHUTDOWN_SECONDS: Final = 2.0  # for the peer to end TLS too; what else it sends is thrown away
_MAX_UNSENT_BYTES: Final = 64 * 1024  # of a connection, in the kernel
_RETRY_SECONDS: Final = 1.0  # until file descriptors may have become free


@asynccontextmanager
async def accepting(
    new_protocol: Callable[[], asyncio.BaseProtocol],
    address: Address | str,
    source: IdentitySource,
    limits: ConnectionLimits | None = None,
    *,
    endpoint: str = "http",
) -> AsyncIterator[Address]:
    """Listen as the identity in use; yield the address, with the real port when that is 0.

    `new_protocol` is called for each connection. Those that are open at the end stay open.
    Raises `ListenError`.
    """
    address = Address.of(address)
    listener = _Listener(new_protocol, source, limits or ConnectionLimits(), endpoint)
    sockets = await _bind(address)
    unsubscribe = source.subscribe(lambda _identity: listener.close_outdated_connections())
    tasks = [asyncio.create_task(listener.accept(bound)) for bound in sockets]
    tasks.append(asyncio.create_task(listener.close_outdated_connections_by_time()))
    try:
        yield Address(address.host, sockets[0].getsockname()[1])
    finally:
        unsubscribe()
        tasks.extend(listener.handshakes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for bound in sockets:
            bound.close()


async def _bind(address: Address) -> list[socket.socket]:
    """Listen on every IP address that the host has here: `localhost` often has two.

    On many machines without IPv6 it has two as well, and one of them cannot be assigned.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, name in dict.fromkeys(found):
            try:
                listener = socket.create_server(name, family=family, backlog=_BACKLOG)
            except OSError as error:
                if error.errno not in _NOT_OF_THIS_MACHINE:
                    raise
                missing = error
                continue
            listener.settimeout(0)
            # Inherited by its connections: left to itself, Linux takes up to 4 MiB (tcp_wmem) for
            # each client that does not read, and a container's memory limit counts that too.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES)
            sockets.append(listener)
        if missing and not sockets:
            raise missing
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ListenError(
            f"Cannot listen on {address} ({error.strerror}): another program may have the port, "
            "or the host is not one of this machine's."
        ) from error
    return sockets


class _Listener:
    """What the sockets of one listener have in common."""

    def __init__(
        self,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        source: IdentitySource,
        limits: ConnectionLimits,
        endpoint: str,
    ) -> None:
        self._new_protocol, self._source = new_protocol, source
        self._limits, self._endpoint = limits, endpoint
        self._observer = source.observer
        self.limiter = ConnectionLimiter(limits)
        source.rehearse_with(rehearse_http_server)
        self._context = source.derive(self._make_context)
        self.handshakes: set[asyncio.Task[None]] = set()

    def _make_context(self, identity: Identity) -> ssl.SSLContext:
        context = server_context(identity)
        self._observer.instrument_server_context(
            self._endpoint, context, partial(server_context, identity)
        )
        return context

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, name = await loop.sock_accept(listener)
            except ConnectionAbortedError:  # it has gone while it waited
                continue
            except OSError as error:
                self._observer.accept_failed(self._endpoint, error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._take(connection, Address(name[0], name[1]))
            await asyncio.sleep(0)  # a flood that always has one more leaves time for the rest

    def _take(self, accepted: socket.socket, peer: Address) -> None:
        connection = self.limiter.admit(accepted, peer.host)
        if isinstance(connection, str):
            self._observer.connection_dropped(self._endpoint, peer, connection)
            return
        task = asyncio.create_task(self._shake_hands(connection, peer))
        self.handshakes.add(task)
        task.add_done_callback(self.handshakes.discard)

    async def _shake_hands(self, connection: socket.socket, peer: Address) -> None:
        pending = PendingHandshake(str(peer), connection)
        PENDING_HANDSHAKE.set(pending)
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._new_protocol,
                connection,
                ssl=self._context.value,
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except ssl.SSLError as error:
            self._refuse(pending, Refusal.from_error(error, pending.peer))
        except ConnectionAbortedError:  # this one is the event loop's own: the time is over
            text = f"no handshake within {self._limits.handshake_seconds:g} s"
            self._refuse(pending, Refusal(Reason.TIMEOUT, text, pending.peer))
        except OSError:  # the client has gone
            pass
        else:
            self._observer.handshake_accepted(self._endpoint)
            transport.get_extra_info("ssl_object").accepted_at = time.monotonic()
            self.limiter.opened(connection, transport)

    def _refuse(self, pending: PendingHandshake, refusal: Refusal) -> None:
        if not pending.reported:
            self._observer.handshake_refused(self._endpoint, refusal)

    async def close_outdated_connections_by_time(self) -> None:
        """Look every few seconds: certificates expire, and connections grow old, by themselves."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.close_outdated_connections()

    def close_outdated_connections(self) -> None:
        """Close connections that are too old, or whose certificate is no longer valid."""
        for connection in self.limiter.open_connections:
            if connection.is_closing():  # it ends within 30 s; asyncio's may know no peer
                continue
            try:
                reason = self._reason_to_close(connection)
            except Exception as error:  # noqa: BLE001  one peer must not keep the others from it
                self._observer.failed("A connection could not be judged, and is closed", error)
                reason = "not_judged"
            if reason:
                host, port, *_ = connection.get_extra_info("peername")
                self._observer.connection_closed(self._endpoint, Address(host, port), reason)
                connection.abort()

    def _reason_to_close(self, connection: asyncio.Transport) -> str | None:
        try:
            peer_of_request(connection).check_still_valid(self._source.current)
        except NoLongerValid as error:
            return error.reason
        except PeerError:
            pass  # it is known by no name, and gets no answer but 403
        return "too_old" if age_of(connection) > self._limits.max_age_seconds else None


def age_of(connection: asyncio.BaseTransport) -> float:
    """Return for how many seconds a connection is open; 0 while that is not known yet."""
    now = time.monotonic()
    accepted_at: float = getattr(connection.get_extra_info("ssl_object"), "accepted_at", now)
    return now - accepted_at
