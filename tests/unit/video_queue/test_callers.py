"""For whom a call is made: the gateway's word counts, and only in one form."""

from typing import Any

import pytest

from tests.unit.mtls.peers import peer as peer_named
from tests.unit.video_queue.conftest import OWNER
from video_queue.api import callers
from video_queue.domain.errors import MayNotActForOthers


class Call:
    """As much of a gRPC context as is looked at."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("user-agent", "test"), (callers.ON_BEHALF_OF, OWNER))


def person_behind(monkeypatch: pytest.MonkeyPatch, peer: str) -> str:
    found = peer_named(f"spiffe://video-demo.test/{peer}")
    monkeypatch.setattr(callers, "peer_of", lambda _context: found)
    call: Any = Call()
    return callers.person_behind(call)


def test_the_gateway_is_believed_for_whom_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert person_behind(monkeypatch, "gateway") == OWNER


@pytest.mark.parametrize("peer", ["transcoder", "client/uploader", "gateway/other", "x/gateway"])
def test_nobody_else_is(monkeypatch: pytest.MonkeyPatch, peer: str) -> None:
    """Even if the policy let it call: this is the second lock."""
    with pytest.raises(MayNotActForOthers):
        person_behind(monkeypatch, peer)
