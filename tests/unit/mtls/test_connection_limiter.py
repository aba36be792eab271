"""Places for connections: how many, for whom, and that they come back."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from mtls.address import Address
from mtls.connection_limiter import Limits, Places

import pytest


class Door:
    """Places to which connections come from made-up addresses."""

    def __init__(self, limits: Limits, stack: ExitStack) -> None:
        self._places, self._stack = Places("http", limits), stack

    def come(self, host: str) -> socket.socket | None:
        accepted, client = socket.socketpair()
        self._stack.enter_context(client)
        connection = self._places.give(accepted, Address(host, 1))
        assert accepted.fileno() == -1  # closed, or the connection has its descriptor now
        return connection and self._stack.enter_context(connection)


@pytest.fixture
def door() -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(Limits(max_connections=3, max_connections_per_address=2), stack)


def test_one_address_gets_its_part(door: Door) -> None:
    assert door.come("192.0.2.1")
    assert door.come("192.0.2.1")
    assert door.come("192.0.2.1") is None
    assert door.come("192.0.2.2")


def test_all_together_get_no_more_than_all(door: Door) -> None:
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert door.come(host)
    assert door.come("192.0.2.4") is None


def test_a_client_with_a_network_of_its_own_is_one_address(door: Door) -> None:
    assert door.come("2001:db8:0:1::1")
    assert door.come("2001:db8:0:1:ffff::2")
    assert door.come("2001:db8:0:1::3") is None
    assert door.come("2001:db8:0:2::1")


def test_a_link_local_address_has_the_name_of_its_interface(door: Door) -> None:
    assert door.come("fe80::1%eth0")


@pytest.mark.parametrize(
    "end",
    [lambda connection: connection.close(), lambda connection: socket.close(connection.detach())],
)
def test_a_place_comes_back_once(door: Door, end: Callable[[socket.socket], None]) -> None:
    first, second = door.come("192.0.2.1"), door.come("192.0.2.1")
    assert first
    assert second
    end(first)
    assert door.come("192.0.2.1")
    first.close()
    assert door.come("192.0.2.1") is None
