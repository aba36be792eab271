"""A host with several addresses is judged as a whole: one of them does not hide another."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any

from mtls.address import Address
from mtls.reporting.connection_probe import Cause, probe

import pytest

from doctor.connection import NotReached, Obstacle, dial, parse_target
from runtime.dial import connect_to_any

UNREACHABLE = "255.255.255.255"  # the system refuses it at once: nothing is sent


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Give `several.test` these addresses, in this order."""

    def getaddrinfo(_host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(port))) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


ORDERS = pytest.mark.parametrize(
    "hosts", [("127.0.0.1", UNREACHABLE), (UNREACHABLE, "127.0.0.1")], ids=["first", "last"]
)


@ORDERS
def test_refused_says_more_than_unreachable(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, hosts: tuple[str, str]
) -> None:
    resolve_to(monkeypatch, *hosts)
    with pytest.raises(ConnectionRefusedError):
        connect_to_any("several.test", closed_port, 5)
    with pytest.raises(NotReached) as raised:
        dial(parse_target(f"several.test:{closed_port}"), 5)
    assert raised.value.obstacle is Obstacle.REFUSED


@ORDERS
async def test_the_probe_says_so_too(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, hosts: tuple[str, str]
) -> None:
    resolve_to(monkeypatch, *hosts)
    context = ssl.create_default_context()
    found = await probe(Address("several.test", closed_port), context)
    assert found.cause is Cause.NOBODY_LISTENS


def test_one_address_that_answers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, UNREACHABLE, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect_to_any("several.test", port, 5) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


def test_where_nothing_says_more_it_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    resolve_to(monkeypatch, UNREACHABLE)
    with pytest.raises(NotReached) as raised:
        dial(parse_target(f"several.test:{closed_port}"), 5)
    assert raised.value.obstacle is Obstacle.UNREACHABLE
