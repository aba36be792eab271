"""Which open connections are cut off, and which response is a connection's last."""

import time
from dataclasses import dataclass, field
from typing import Any

from mtls import http_connections
from mtls.http_connections import cut_off_ended, end_old_connections
from mtls.peer import Peer, PeerError
from mtls.revocation import Revocations

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pki.authority import Authority
from tests.unit.mtls.peers import peer, source_with

AGE = 100.0
GATEWAY = "spiffe://video-demo.test/gateway"


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

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture(autouse=True)
def _(monkeypatch: pytest.MonkeyPatch) -> None:
    def peer_of(connection: Any) -> Peer:
        if connection.peer is None:
            raise PeerError
        found: Peer = connection.peer
        return found

    monkeypatch.setattr(http_connections, "peer_of_request", peer_of)


def cut_off(*connections: Any, revoked: Peer | None = None) -> list[str]:
    """Return the reasons that were logged."""
    lists = Revocations.parse(Authority.create().crl())
    names = frozenset({revoked.certificate_id} if revoked else ())
    source = source_with(Revocations(lists.pem, names, lists.next_update, lists.ends_at))
    with structlog.testing.capture_logs() as logs:
        cut_off_ended("test", connections, source.current, max_age_seconds=AGE)
    return [f"{log['event']} {log['reason']} {log['peer']}" for log in logs]


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (Connection(peer(GATEWAY), age=AGE + 1), "too_old"),
        (Connection(None, age=AGE + 1), "too_old"),
        (Connection(peer(GATEWAY, expires_at=0), age=1), "expired"),
        (Connection(peer(GATEWAY, serial=13), age=1), "revoked"),
    ],
)
def test_is_cut_off_with_a_reason(connection: Connection, reason: str) -> None:
    twins = Connection(peer(GATEWAY), age=AGE - 1), Connection(None, age=AGE - 1)
    logged = cut_off(connection, *twins, revoked=peer(GATEWAY, serial=13))
    assert logged == [f"connection.ended {reason} 192.0.2.1:5"]
    assert connection.aborted
    assert not any(twin.aborted for twin in twins)


@pytest.mark.parametrize(("age", "is_last"), [(AGE - 1, False), (AGE + 1, True)])
async def test_the_response_on_an_old_connection_is_its_last(age: float, is_last: bool) -> None:  # noqa: FBT001
    connection: Any = Connection(peer(GATEWAY), age)
    request = make_mocked_request("GET", "/", transport=connection)
    response = web.Response()
    await end_old_connections(AGE)(request, response)
    assert response.headers.get("Connection") == ("close" if is_last else None)
    assert (response.keep_alive is False) == is_last
