"""Input that is larger than anybody needs is refused before it fills the memory."""

import pytest

from tests.mtls.floodable import Floodable


@pytest.mark.parametrize("server", ["video-queue", "gateway"])
def test_a_long_certificate_chain(floodable: Floodable, server: str) -> None:
    result = floodable.survives(server, "long chain")
    assert set(result.refused) == {"message_too_large"}
    assert result.refused.total() >= result.made["opened"] > 0


def test_a_large_header(floodable: Floodable) -> None:
    result = floodable.survives("gateway", "large header")
    assert result.made["HTTP/1.0 400"] > 0


def test_headers_without_end(floodable: Floodable) -> None:
    result = floodable.survives("gateway", "endless headers")
    assert result.made["bytes"] > 10**6


# A megabyte of metadata for each call that has come and has not been refused yet.
@pytest.mark.parametrize(
    ("flood", "mib"), [("large metadata", 250), ("calls without a request", 64)]
)
def test_metadata(floodable: Floodable, flood: str, mib: float) -> None:
    result = floodable.survives("video-queue", flood, mib=mib)
    assert result.made["bytes"] > 10**7


@pytest.mark.parametrize("flood", ["CONTINUATION", "CONTINUATION by strangers"])
def test_metadata_without_end(floodable: Floodable, flood: str) -> None:
    result = floodable.survives("video-queue", flood)
    assert result.made["bytes"] > 10**6
    assert set(result.refused) == ({"no_certificate"} if "strangers" in flood else set())
