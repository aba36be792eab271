"""Which open connections are closed, and which response is a connection's last."""

import asyncio
import socket
import time
from asyncio import sslproto
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any
from unittest.mock import Mock

from mtls import PEER, Address, ConnectionLimits, Observer, http_listener, protect
from mtls.certificates import CertificateId
from mtls.errors import ListenError
from mtls.http_listener import _bind, _Listener, age_of
from mtls.peer import Peer, PeerError
from mtls.revocation import Revocations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from demo_identities import IDENTITIES
from pki.authority import Authority
from tests.unit.mtls.peers import peer as any_peer
from tests.unit.mtls.peers import source_with

AGE = 100.0
LISTS = Revocations.parse(Authority.create(IDENTITIES).crl())
GATEWAY = "spiffe://video-demo.test/gateway"


def peer(text: str, *, serial: int = 1, expires_at: float = inf) -> Peer:
    """Return a peer of the CA whose list there is."""
    issuer = LISTS.lists[0].issuer.public_bytes()
    return replace(
        any_peer(text, expires_at=expires_at), certificate_id=CertificateId(issuer, serial)
    )


@dataclass
class Tls:
    accepted_at: float


@dataclass
class Connection:
    """As much of a transport as is looked at."""

    peer: Peer | None
    age: float
    aborted: bool = False
    extra: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        accepted_at = time.monotonic() - self.age
        self.extra = {"peername": ("192.0.2.1", 5), "ssl_object": Tls(accepted_at)}

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture(autouse=True)
def _(monkeypatch: pytest.MonkeyPatch) -> None:
    def peer_of(connection: Any) -> Peer:
        if connection.peer is None:
            raise PeerError
        found: Peer = connection.peer
        return found

    monkeypatch.setattr(http_listener, "peer_of_request", peer_of)


class Closed(Observer):
    """Keeps what is closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.failures: list[Exception] = []

    def connection_closed(self, endpoint: str, peer: Address, reason: str) -> None:
        self.closed.append(f"{endpoint} {reason} {peer}")

    def failed(self, what: str, error: Exception) -> None:
        self.failures.append(error)


def close_outdated(*connections: Any, revoked: Peer | None = None) -> Closed:
    """Return what was reported."""
    names = frozenset({revoked.certificate_id} if revoked else ())
    observer = Closed()
    source = source_with(replace(LISTS, certificates=names), observer)
    listener = _Listener(asyncio.Protocol, source, ConnectionLimits(max_age_seconds=AGE), "test")
    with ExitStack() as stack:
        for connection in connections:
            listener.limiter.opened(stack.enter_context(socket.socket()), connection)
        listener.close_outdated_connections()
    return observer


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (Connection(peer(GATEWAY), age=AGE + 1), "too_old"),
        (Connection(None, age=AGE + 1), "too_old"),
        (Connection(peer(GATEWAY, expires_at=0), age=1), "expired"),
        (Connection(peer(GATEWAY, serial=13), age=1), "revoked"),
    ],
)
def test_is_closed_with_a_reason(connection: Connection, reason: str) -> None:
    twins = Connection(peer(GATEWAY), age=AGE / 2), Connection(None, age=AGE / 2)
    observer = close_outdated(connection, *twins, revoked=peer(GATEWAY, serial=13))
    assert observer.closed == [f"test {reason} 192.0.2.1:5"]
    assert connection.aborted
    assert not any(twin.aborted for twin in twins)


def test_one_connection_that_raises_does_not_keep_the_others_open() -> None:
    broken: Any = Connection(peer(GATEWAY), age=1)
    del broken.peer
    old = Connection(peer(GATEWAY), age=AGE + 1)
    observer = close_outdated(broken, old)
    assert old.aborted
    assert broken.aborted  # what cannot be judged is not trusted
    assert [type(error) for error in observer.failures] == [AttributeError]


def test_one_that_asyncio_has_closed_twice_knows_nothing_and_keeps_no_other_open() -> None:
    """After its second `close`, `get_extra_info` raises."""
    transport: Any = sslproto._SSLProtocolTransport(Mock(), Mock())  # noqa: SLF001  the real one
    transport.close()
    transport.close()
    with pytest.raises(AttributeError):
        transport.get_extra_info("peername")
    old = Connection(peer(GATEWAY), age=AGE + 1)
    observer = close_outdated(transport, old)
    assert old.aborted
    assert observer.closed == ["test too_old 192.0.2.1:5"]
    assert observer.failures == []


@pytest.mark.parametrize(("age", "is_last"), [(AGE / 2, False), (AGE + 1, True)])
async def test_the_response_on_an_old_connection_is_its_last(age: float, is_last: bool) -> None:  # noqa: FBT001
    connection: Any = Connection(peer(GATEWAY), age)
    app = web.Application()
    protect(app, source_with(), {}, max_connection_age_seconds=AGE)
    request = make_mocked_request("GET", "/", transport=connection)
    request[PEER] = peer(GATEWAY)
    response = web.Response()
    await app.on_response_prepare[-1](request, response)
    assert response.headers.get("Connection") == ("close" if is_last else None)
    assert (response.keep_alive is False) == is_last


def test_a_connection_whose_age_is_not_known_yet_is_young() -> None:
    connection: Any = Connection(peer(GATEWAY), age=AGE + 1)
    assert age_of(connection) > AGE
    del connection.extra["ssl_object"].accepted_at
    assert age_of(connection) < 1


NOT_OURS = "192.0.2.1"  # RFC 5737: nobody's


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("hosts", [("127.0.0.1", NOT_OURS), (NOT_OURS, "127.0.0.1")])
async def test_an_address_that_cannot_be_assigned_does_not_hinder_another(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...]
) -> None:
    """`localhost` has an IPv6 address on many machines that have no IPv6."""
    resolve_to(monkeypatch, *hosts)
    [listener] = await _bind(Address("several.test", 0))
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


async def test_a_host_of_which_no_address_can_be_assigned_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, NOT_OURS)
    with pytest.raises(ListenError, match="not one of this machine's"):
        await _bind(Address("several.test", 0))
