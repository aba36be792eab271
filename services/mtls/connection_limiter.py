"""The connection limit of an HTTP listener: one for all connections, a smaller one per address.

Without the second limit a single stranger takes every connection: one costs him nothing, and until
its handshake is over we cannot know that he has no certificate.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections at once, those in their handshake included, and how long that may take.

    A connection that is older than `max_age_seconds` is closed, whatever it does.

    Behind NAT, a load balancer or Docker's published ports, all clients have one address: there the
    two limits should be equal, and what stands in front has to tell its clients apart.
    """

    max_connections: int = 1000
    max_connections_per_address: int = 250
    handshake_seconds: float = 10.0
    max_age_seconds: float = 7200.0


class ConnectionLimiter:
    """Counts the connections of one listener, and knows the open ones."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._open: dict[socket.socket, asyncio.Transport] = {}

    def admit(self, accepted: socket.socket, host: str) -> "socket.socket | str":
        """Return the connection, which is counted until it is closed.

        If there are too many, close it and return the name of the limit.
        """
        key = _subscriber(host)
        if self._by_address[key] >= self._limits.max_connections_per_address:
            accepted.close()
            return "max_connections_per_address"
        if self._count >= self._limits.max_connections:
            accepted.close()
            return "max_connections"
        self._count += 1
        self._by_address[key] += 1
        return _CountedSocket(accepted, partial(self._forget, key))

    def opened(self, connection: socket.socket, transport: asyncio.Transport) -> None:
        """Note that the handshake of a connection has succeeded."""
        if connection.fileno() >= 0:  # it has not gone again already
            self._open[connection] = transport

    @property
    def open_connections(self) -> list[asyncio.Transport]:
        """The connections whose handshake has succeeded."""
        return list(self._open.values())

    def _forget(self, key: str, connection: socket.socket) -> None:
        self._open.pop(connection, None)
        self._count -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]  # or every address that was ever here would stay in memory


def _subscriber(host: str) -> str:
    """Return what one client cannot change: of IPv6, where it has 2**64 addresses, the network."""
    if ":" not in host:
        return host
    return str(IPv6Network((int(IPv6Address(host)) >> 64 << 64, 64)))


class _CountedSocket(socket.socket):
    """A socket that calls `on_close` once when it is closed.

    asyncio closes the object; uvloop takes the file descriptor from it and closes that.
    """

    def __init__(self, accepted: socket.socket, on_close: Callable[[socket.socket], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.settimeout(0)
        self._on_close: Callable[[socket.socket], None] | None = on_close

    def close(self) -> None:
        super().close()
        self._report()

    def detach(self) -> int:
        descriptor = super().detach()
        self._report()
        return descriptor

    def _report(self) -> None:
        on_close, self._on_close = self._on_close, None
        if on_close:
            on_close(self)
