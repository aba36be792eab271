"""What HTTP/2 lets a client ask for in a few bytes, asked for without end."""

from typing import Final

import pytest

from tests.mtls.floodable import Floodable

ANSWERS_MIB: Final = 200  # that wait to be read: the C-core bounds them, and is generous


@pytest.mark.parametrize("flood", ["rapid reset", "SETTINGS", "SETTINGS, deaf"])
def test_by_a_client_that_is_let_in(floodable: Floodable, flood: str) -> None:
    result = floodable.survives("video-queue", flood, mib=ANSWERS_MIB)
    assert result.made["bytes"] > 10**6
    assert result.refused.total() == 0


def test_whoever_asks_too_often_is_sent_away(floodable: Floodable) -> None:
    result = floodable.survives("video-queue", "PING")
    # Its GOAWAY says too_many_pings, unless the end of the connection overtakes it.
    assert result.made["sent away"] + result.made["ended by the server"] > 0, result.made


def test_by_a_stranger(floodable: Floodable) -> None:
    result = floodable.survives("video-queue", "rapid reset by strangers")
    assert set(result.refused) == {"no_certificate"}
    assert result.refused.total() >= result.made["ended by the server"] > 0
