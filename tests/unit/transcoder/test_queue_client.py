"""Each call of the worker's comes in once: whether to make it again is for the worker to say."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from mtls.identity import Identity
from mtls.identity_source import IdentitySource

import grpc
import pytest

from tests.unit.transcoder.conftest import Server
from tests.unit.transcoder.fake_queue import FakeQueue
from transcoder.config import Config
from transcoder.job import MediaFile
from transcoder.queue_client import QueueClient
from transcoder.queue_errors import QueueUnreachable
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_client.channel import queue_channel

AWAY = (grpc.StatusCode.UNAVAILABLE, "away for a moment")
LEASE = api.Lease(video_id="first", token=7)


async def claim(client: QueueClient, _folder: Path) -> None:
    await client.claim()


async def report(client: QueueClient, _folder: Path) -> None:
    await client.report(LEASE, api.VIDEO_STATUS_PROCESSING)


async def beat(client: QueueClient, _folder: Path) -> None:
    async with client.heartbeats(LEASE, on_end=lambda: None) as beat:
        await beat(0)


async def fetch(client: QueueClient, _folder: Path) -> None:
    async for _ in client.fetch_source(LEASE):
        pass


async def publish(client: QueueClient, folder: Path) -> None:
    path = folder / "720p.mp4"
    path.write_bytes(b"720")
    with path.open("rb") as content:
        file = MediaFile(
            name="720p",
            content=content,
            content_type="video/mp4",
            width=1280,
            height=720,
            duration_seconds=1.5,
            size_bytes=3,
        )
        await client.publish(LEASE, file)


CALLS: Mapping[str, Callable[[QueueClient, Path], Awaitable[None]]] = {
    "ClaimVideo": claim,
    "UpdateVideoStatus": report,
    "Heartbeat": beat,
    "FetchSource": fetch,
    "PublishRendition": publish,
}


@pytest.mark.parametrize("method", CALLS)
async def test_grpc_does_not_make_it_again(
    server: Server,
    queue: FakeQueue,
    config: Config,
    identities: Mapping[str, Identity],
    tmp_path: Path,
    method: str,
) -> None:
    queue.fail(method, AWAY)
    source = IdentitySource(identities["transcoder"])
    async with queue_channel(config.queue, source) as channel:
        with pytest.raises(QueueUnreachable, match=AWAY[1]):
            await CALLS[method](QueueClient(channel, config), tmp_path)
    assert [call.method for call in queue.calls] == [method]
