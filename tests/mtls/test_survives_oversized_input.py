"""Input that is larger than anybody needs is refused before it fills the memory."""

from collections.abc import Iterator

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.grpc_server import MAX_METADATA_BYTES
from mtls.identity import load_identity

import grpc
import pytest

from demo_identities import identity_named
from tests.mtls.floodable import Floodable
from tests.mtls.scrape import sample, scrape

LIST_VIDEOS = "/videoqueue.v1.VideoQueue/ListVideos"
OK, INVALID, EXHAUSTED = (
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@pytest.fixture
def channel(floodable: Floodable) -> Iterator[grpc.Channel]:
    identity = load_identity(floodable.stack.certs / "gateway", roles=frozenset({Role.CLIENT}))
    address = floodable.services["video-queue"].address
    with grpc.secure_channel(address, channel_credentials(identity)) as channel:
        yield channel


@pytest.mark.parametrize(
    ("metadata_bytes", "requests", "code"),
    [
        (MAX_METADATA_BYTES // 2, 1, OK),
        (MAX_METADATA_BYTES * 4, 1, EXHAUSTED),
        (MAX_METADATA_BYTES // 2, 0, INVALID),
    ],
)
def test_each_call_gets_its_answer(
    channel: grpc.Channel, metadata_bytes: int, requests: int, code: grpc.StatusCode
) -> None:
    list_videos: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(LIST_VIDEOS)
    metadata = (
        ("on-behalf-of", identity_named("client/uploader").uri),
        ("x-large", "a" * metadata_bytes),
    )
    calls = [
        list_videos.future(iter([b""] * requests), metadata=metadata, timeout=60) for _ in range(20)
    ]
    assert {call.code() for call in calls} == {code}


@pytest.mark.parametrize("server", ["video-queue", "gateway"])
def test_a_long_certificate_chain(floodable: Floodable, server: str) -> None:
    result = floodable.survives(server, "long chain")
    assert set(result.refused) == {"message_too_large"}
    assert result.refused.total() >= result.made["opened"] > 0


def test_a_large_header(floodable: Floodable) -> None:
    result = floodable.survives("gateway", "large header")
    assert result.made["HTTP/1.0 431"] > 0


def test_headers_without_end(floodable: Floodable) -> None:
    result = floodable.survives("gateway", "endless headers")
    assert result.made["bytes"] > 10**6


def test_large_metadata(floodable: Floodable) -> None:
    """The C-core lets most of it through; then it is refused, whatever the call is."""
    before = refused_calls(floodable)
    # A megabyte for each call that has come and has not been refused yet.
    result = floodable.survives("video-queue", "large metadata", mib=250)
    assert result.made["bytes"] > 10**7
    assert refused_calls(floodable) > before


def test_calls_without_a_request(floodable: Floodable) -> None:
    result = floodable.survives("video-queue", "calls without a request")
    assert result.made["bytes"] > 10**7


def refused_calls(floodable: Floodable) -> float:
    """Return how often the gateway's calls were refused by our own limit."""
    return sample(
        scrape(floodable.stack, floodable.services["video-queue"]),
        "mtls_calls_total",
        endpoint="grpc",
        identity="gateway",
        method=LIST_VIDEOS,
        code="RESOURCE_EXHAUSTED",
    )


def test_metadata_without_end(floodable: Floodable) -> None:
    # What is in the C-core's hands: 50 to 90 MiB, after 300 MB in a second as after 2 GB in four.
    result = floodable.survives("video-queue", "CONTINUATION", mib=160)
    assert result.made["bytes"] > 10**6
    assert set(result.refused) == set()


def test_metadata_without_end_by_strangers(floodable: Floodable) -> None:
    result = floodable.survives("video-queue", "CONTINUATION by strangers")
    assert result.made["bytes"] > 10**6
    assert set(result.refused) == {"no_certificate"}
