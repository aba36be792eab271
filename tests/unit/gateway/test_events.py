"""Watching a video."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.videos.events import HEARTBEAT, relay, status_event
from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue, make_video
from videoqueue_api.v1 import video_queue_pb2 as api

PATH = f"/videos/{VIDEO_ID}/events"
PROCESSING = make_video(status=api.VIDEO_STATUS_PROCESSING, updated_at=Timestamp(seconds=2))
COMPLETED = make_video(status=api.VIDEO_STATUS_COMPLETED, updated_at=Timestamp(seconds=3))


async def event(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the fields of the next event; comments have an empty name."""
    fields = {}
    while line := (await response.content.readuntil(b"\n")).decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields


def data(fields: dict[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(fields["data"])
    return parsed


async def test_every_change_is_told_until_the_status_is_final(gateway: Gateway) -> None:
    async with gateway.client("client/viewer") as client, client.get(PATH) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await event(response) == {"retry": "3000"}
        first = await event(response)
        assert (first["event"], first["id"]) == ("status", "2023-11-14T22:13:20.500Z")
        assert data(first)["status"] == "pending"
        gateway.queue.news.put_nowait(PROCESSING)
        assert data(await event(response))["status"] == "processing"
        gateway.queue.news.put_nowait(COMPLETED)
        assert data(await event(response))["status"] == "completed"
        assert await response.content.read() == b""


async def test_a_video_that_is_deleted_is_told_too(gateway: Gateway) -> None:
    async with gateway.client() as client, client.get(PATH) as response:
        await event(response)
        await event(response)
        gateway.queue.news.put_nowait(None)
        assert await event(response) == {"event": "deleted", "data": f'{{"id":"{VIDEO_ID}"}}'}
        assert await response.content.read() == b""


async def test_a_comment_comes_when_nothing_happens(start: Start) -> None:
    gateway = await start(heartbeat_seconds=0.05)
    async with gateway.client() as client, client.get(PATH) as response:
        await event(response)
        await event(response)
        assert await event(response) == {"": "still here"}
        assert await event(response) == {"": "still here"}


async def test_who_has_seen_the_last_event_is_told_not_to_come_back(gateway: Gateway) -> None:
    gateway.queue.video = COMPLETED
    headers = {"Last-Event-ID": "1970-01-01T00:00:03Z"}
    async with gateway.client() as client, client.get(PATH, headers=headers) as response:
        assert response.status == 204


@pytest.mark.parametrize(
    ("video", "last_seen"),
    [(COMPLETED, "1970-01-01T00:00:02Z"), (PROCESSING, "1970-01-01T00:00:02Z")],
)
async def test_who_has_not_is_told_how_it_is_now(
    start: Start, queue: FakeQueue, video: api.Video, last_seen: str
) -> None:
    gateway = await start(request_seconds=0.1)
    queue.video = video
    headers = {"Last-Event-ID": last_seen}
    async with gateway.client() as client, client.get(PATH, headers=headers) as response:
        assert response.status == 200
        assert b"event: status" in await response.content.read()


async def test_a_stream_has_its_longest_time_and_then_ends_whole(
    start: Start, queue: FakeQueue
) -> None:
    gateway = await start(request_seconds=0.1)
    async with gateway.client() as client, client.get(PATH) as response:
        assert (await response.content.read()).count(b"event: status") == 1
    assert await queue.how_it_ended() == "cut off"


async def test_a_client_that_goes_away_ends_the_call(gateway: Gateway) -> None:
    async with gateway.client() as client, client.get(PATH) as response:
        await event(response)
        response.close()
        assert await gateway.queue.how_it_ended() == "cut off"


async def test_what_happens_when_the_stream_ends_is_not_lost() -> None:
    """A video and the end at the same moment: the video comes first."""
    written = []

    async def videos() -> AsyncIterator[api.Video]:
        yield PROCESSING

    async def write(text: bytes) -> None:
        written.append(text)

    ending = asyncio.get_running_loop().create_future()
    ending.set_result(None)
    await relay(VIDEO_ID, videos(), write, heartbeat_seconds=60, until=ending)
    assert written == [status_event(PROCESSING)]


def test_an_event_is_one_block_whatever_the_title() -> None:
    """HTML standard, section 9.2.6: a line break ends a field, an empty line the event."""
    block = status_event(make_video(title="a\n\nevent: forged\r\rdata: x\u2028")).decode()
    assert block.endswith("\n\n")
    assert block.count("\n") == 4
    assert "\r" not in block
    assert HEARTBEAT.startswith(b":")
