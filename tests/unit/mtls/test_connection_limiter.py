"""The connection limit: for all, for one address, and what is counted is given back."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from mtls.connection_limiter import ConnectionLimiter, ConnectionLimits

import pytest


class Listener:
    """A limiter, and connections from made-up addresses."""

    dropped_by = ""

    def __init__(self, limits: ConnectionLimits, stack: ExitStack) -> None:
        self._limiter, self._stack = ConnectionLimiter(limits), stack

    def come(self, host: str) -> socket.socket | None:
        accepted, client = socket.socketpair()
        self._stack.enter_context(client)
        connection = self._limiter.admit(accepted, host)
        assert accepted.fileno() == -1  # closed, or the connection has its descriptor now
        if isinstance(connection, str):
            self.dropped_by = connection
            return None
        return self._stack.enter_context(connection)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with ExitStack() as stack:
        yield Listener(ConnectionLimits(max_connections=3, max_connections_per_address=2), stack)


def test_one_address_gets_its_part(listener: Listener) -> None:
    assert listener.come("192.0.2.1")
    assert listener.come("192.0.2.1")
    assert listener.come("192.0.2.1") is None
    assert listener.dropped_by == "max_connections_per_address"
    assert listener.come("192.0.2.2")


def test_all_together_get_no_more_than_all(listener: Listener) -> None:
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert listener.come(host)
    assert listener.come("192.0.2.4") is None
    assert listener.dropped_by == "max_connections"


def test_what_is_closed_makes_room_for_another_address(listener: Listener) -> None:
    first, *_ = [listener.come(host) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3")]
    assert first
    assert listener.come("192.0.2.4") is None
    first.close()
    assert listener.come("192.0.2.4")
    assert listener.come("192.0.2.5") is None


def test_a_client_with_a_network_of_its_own_is_one_address(listener: Listener) -> None:
    assert listener.come("2001:db8:0:1::1")
    assert listener.come("2001:db8:0:1:ffff::2")
    assert listener.come("2001:db8:0:1::3") is None
    assert listener.come("2001:db8:0:2::1")


def test_a_link_local_address_has_the_name_of_its_interface(listener: Listener) -> None:
    assert listener.come("fe80::1%eth0")


@pytest.mark.parametrize(
    "end",
    [lambda connection: connection.close(), lambda connection: socket.close(connection.detach())],
)
def test_a_closed_connection_is_given_back_once(
    listener: Listener, end: Callable[[socket.socket], None]
) -> None:
    first, second = listener.come("192.0.2.1"), listener.come("192.0.2.1")
    assert first
    assert second
    end(first)
    assert listener.come("192.0.2.1")
    first.close()
    assert listener.come("192.0.2.1") is None
