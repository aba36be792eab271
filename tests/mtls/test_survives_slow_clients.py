"""Clients that take their time, or all of it: they lose their connection, and nobody else waits."""

from collections.abc import Iterator

import pytest

from tests.mtls.floodable import FEW, PER_ADDRESS, SHORT, Floodable, running_floodable


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floodable]:
    with running_floodable(tmp_path_factory.mktemp("impatient"), {**FEW, **SHORT}) as impatient:
        yield impatient


both_servers = pytest.mark.parametrize("server", ["video-queue", "gateway"])


@both_servers
@pytest.mark.parametrize("flood", ["half-open", "slow handshakes"])
def test_a_handshake_has_its_time(impatient: Floodable, server: str, flood: str) -> None:
    result = impatient.survives(server, flood, seconds=2.2)
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
    impatient: Floodable, server: str, seconds: float
) -> None:
    result = impatient.survives(server, "silent", seconds=seconds)
    assert result.made["ended by the server"] > 0


def test_a_connection_without_calls_is_closed(impatient: Floodable) -> None:
    result = impatient.survives("video-queue", "idle", seconds=2.7)
    assert result.made["ended by the server"] > 0


def test_headers_that_drip_in_have_their_time(impatient: Floodable) -> None:
    result = impatient.survives("gateway", "slow headers", seconds=2.7)
    assert result.made["ended by the server"] > 0
