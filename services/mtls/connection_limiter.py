"""Who has a connection: places for all, and of those no more than a part for one address.

Without the second limit a single stranger takes every place: a connection costs him nothing, and
until its handshake is over we cannot know that he has no certificate.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network

from mtls.address import Address
from mtls.reporting.events import count_dropped, log_limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections at once, those in their handshake included, and how long that may take.

    A connection that is older than `max_age_seconds` is cut off, whatever it does.

    Behind NAT, a load balancer or Docker's published ports, all clients have one address: there the
    two limits should be equal, and whatever stands in front has to tell its clients apart.
    """

    max_connections: int
    max_connections_per_address: int
    handshake_seconds: float = 10.0
    max_age_seconds: float = 7200.0


class Places:
    """Gives the connections of one endpoint their places, and takes them back."""

    def __init__(self, endpoint: str, limits: Limits) -> None:
        self._endpoint, self._limits = endpoint, limits
        self._all = 0
        self._taken: Counter[str] = Counter()
        self._seated: dict[socket.socket, asyncio.Transport] = {}

    def give(self, connection: socket.socket, peer: Address) -> socket.socket | None:
        """Return the connection, which leaves its place when it is closed; or drop it."""
        key = _subscriber(peer.host)
        if self._taken[key] >= self._limits.max_connections_per_address:
            limit = "max_connections_per_address"
        elif self._all >= self._limits.max_connections:
            limit = "max_connections"
        else:
            self._all += 1
            self._taken[key] += 1
            return _Connection(connection, partial(self._leave, key))
        connection.close()
        count_dropped(self._endpoint, limit)
        log_limited(
            "connection.dropped",
            f"{self._endpoint} {limit}",
            endpoint=self._endpoint,
            peer=str(peer),
            limit=limit,
        )
        return None

    def seat(self, connection: socket.socket, transport: asyncio.Transport) -> None:
        """Take note that the handshake of a connection has succeeded."""
        if connection.fileno() >= 0:  # it has not gone again already
            self._seated[connection] = transport

    def seated(self) -> list[asyncio.Transport]:
        """Return the connections whose handshake has succeeded."""
        return list(self._seated.values())

    def _leave(self, key: str, connection: socket.socket) -> None:
        self._seated.pop(connection, None)
        self._all -= 1
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]  # or every address that was ever here would stay in memory


def _subscriber(host: str) -> str:
    """Return what one client cannot change: of IPv6, where it has 2**64 addresses, the network."""
    if ":" not in host:
        return host
    return str(IPv6Network((int(IPv6Address(host)) >> 64 << 64, 64)))


class _Connection(socket.socket):
    """A socket that tells once when it is closed.

    asyncio closes the object; uvloop takes the file descriptor from it and closes that.
    """

    def __init__(self, accepted: socket.socket, closed: Callable[[socket.socket], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.settimeout(0)
        self._tell: Callable[[socket.socket], None] | None = closed

    def close(self) -> None:
        super().close()
        self._leave()

    def detach(self) -> int:
        descriptor = super().detach()
        self._leave()
        return descriptor

    def _leave(self) -> None:
        tell, self._tell = self._tell, None
        if tell:
            tell(self)
