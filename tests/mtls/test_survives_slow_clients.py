"""Clients that take their time, or all of it: they lose their connection, and nobody else waits."""

import pytest

from tests.mtls.floodable import PER_ADDRESS, Floodable

both_servers = pytest.mark.parametrize("server", ["video-queue", "gateway"])


@both_servers
@pytest.mark.parametrize("flood", ["half-open", "slow handshakes"])
def test_a_handshake_has_its_time(floodable: Floodable, server: str, flood: str) -> None:
    result = floodable.survives(server, flood, seconds=2.2)
    _, most, _ = result.sockets
    assert most >= PER_ADDRESS  # so the attack has done what it says
    assert result.made["ended by the server"] > 0
    if server == "gateway":  # the C-core is silent about those that it closes
        assert result.refused["timeout"] > 0
        assert set(result.refused) == {"timeout"}
        assert result.lines["handshake.refused"] > 0


# To HTTP/2 a client has to send its settings first, and for that it has the time of a handshake.
@pytest.mark.parametrize(("server", "seconds"), [("video-queue", 2.2), ("gateway", 2.7)])
def test_whoever_says_nothing_after_it_has_its_time_too(
    floodable: Floodable, server: str, seconds: float
) -> None:
    result = floodable.survives(server, "silent", seconds=seconds)
    assert result.made["ended by the server"] > 0


def test_a_connection_without_calls_is_closed(floodable: Floodable) -> None:
    result = floodable.survives("video-queue", "idle", seconds=2.7)
    assert result.made["ended by the server"] > 0


def test_headers_that_drip_in_have_their_time(floodable: Floodable) -> None:
    result = floodable.survives("gateway", "slow headers", seconds=2.7)
    assert result.made["ended by the server"] > 0
