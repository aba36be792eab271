"""One identity uses up its share of the gateway, and never that of another."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from mtls import SpiffeId

import aiohttp
import pytest

from gateway.errors import TooManyRequests
from gateway.shares import Share
from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue, happened, make_video
from tests.unit.gateway.forms import file_part, form
from tests.unit.gateway.raw_client import RawClient

VIEWER, UPLOADER = "client/viewer", "client/uploader"
EVENTS = f"/videos/{VIDEO_ID}/events"
SOURCE = f"/videos/{VIDEO_ID}/source"
ONE_EACH = 4  # an identity has a quarter
TWO_EACH = 8


def id_of(number: int) -> SpiffeId:
    return SpiffeId("video-demo.test", f"client/{number}")


def test_one_identity_has_a_quarter_and_all_together_have_the_whole() -> None:
    share = Share("uploads", TWO_EACH)
    with ExitStack() as under_way:
        for number in range(4):
            for _ in range(2):
                under_way.enter_context(share.taken(id_of(number)))
            with (
                pytest.raises(TooManyRequests, match=f"client/{number} has 2 uploads under way"),
                share.taken(id_of(number)),
            ):
                pass
        with (
            pytest.raises(TooManyRequests, match="server has 8 uploads under way"),
            share.taken(id_of(4)),
        ):
            pass


def test_what_has_ended_counts_no_longer_however_it_ended() -> None:
    share = Share("uploads", ONE_EACH)
    for _ in range(10):
        with pytest.raises(LookupError), share.taken(id_of(0)):
            raise LookupError
    assert not share._of_identity  # noqa: SLF001  or every identity that was ever here would stay in memory


async def refused(client: aiohttp.ClientSession, path: str, kind: str) -> None:
    """Assert that a request is refused because its caller has all that one identity may have."""
    async with client.get(path) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 0
        assert response.content_type == "application/problem+json"
        assert f"1 {kind} under way" in (await response.json(content_type=None))["detail"]


async def test_streams_of_events(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_streams=ONE_EACH)
    async with gateway.client(VIEWER) as viewer, gateway.client(UPLOADER) as uploader:
        async with viewer.get(EVENTS) as first:
            assert first.status == 200
            called = len(queue.calls)
            await refused(viewer, EVENTS, "streams of events")
            assert len(queue.calls) == called
            async with uploader.get(EVENTS) as other:
                assert other.status == 200
            async with viewer.get("/videos") as another_kind:
                assert another_kind.status == 200
        for _ in (first, other):
            assert await queue.how_it_ended() == "cut off"
        async with viewer.get(EVENTS) as again:
            assert again.status == 200


async def test_requests(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_requests=ONE_EACH)
    async with gateway.client(VIEWER) as viewer, gateway.client(UPLOADER) as uploader:
        queue.answering.clear()
        first = asyncio.ensure_future(status_of(viewer, "/videos"))
        await happened(queue.called)
        queue.called.clear()
        await refused(viewer, "/videos", "requests")
        assert len(queue.calls) == 1
        other = asyncio.ensure_future(status_of(uploader, "/videos"))
        await happened(queue.called)  # its call has reached the queue
        queue.answering.set()
        assert (await first, await other) == (200, 200)
        assert await status_of(viewer, "/videos") == 200


async def status_of(client: aiohttp.ClientSession, path: str) -> int:
    async with client.get(path) as response:
        return response.status


async def test_uploads_are_refused_before_their_first_byte(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_uploads=ONE_EACH)
    body = form(file_part(b"moving pictures"))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(RawClient.to(gateway))
        second = await stack.enter_async_context(RawClient.to(gateway))
        other = await stack.enter_async_context(RawClient.to(gateway, "console"))
        await first.post_headers(len(body), "Expect: 100-continue")
        assert await first.status() == 100
        await second.post_headers(len(body), "Expect: 100-continue")
        assert await second.status() == 429
        await other.post_headers(len(body), "Expect: 100-continue")
        assert await other.status() == 100
        for client in (first, other):
            client.writer.write(body)
            assert await client.status() == 201
    assert len(queue.stored) == 2


async def slow_reader(gateway: Gateway, path: str, stack: AsyncExitStack) -> RawClient:
    """Return a client that asks for more than fits between us, and does not read on."""
    client = await stack.enter_async_context(RawClient.to(gateway, VIEWER))
    client.writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
    assert await client.status() == 200
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return client


async def test_downloads(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_downloads=ONE_EACH)
    queue.content = bytes(64 * 1024 * 1024)
    queue.chunk_bytes = 256 * 1024
    queue.video = make_video(queue.content)
    async with gateway.client(VIEWER) as viewer, gateway.client(UPLOADER) as uploader:
        async with AsyncExitStack() as stack:
            await slow_reader(gateway, SOURCE, stack)
            await refused(viewer, SOURCE, "downloads")
            part: dict[str, Any] = {"headers": {"Range": "bytes=0-9"}}
            async with uploader.get(SOURCE, **part) as other:
                assert other.status == 206
                assert len(await other.read()) == 10  # or the gateway would have to break off
        assert [await queue.how_it_ended() for _ in range(2)] == ["whole", "cut off"]
        async with viewer.get(SOURCE, **part) as again:
            assert again.status == 206


async def test_a_large_page_is_a_download_and_a_small_one_is_none(
    start: Start, queue: FakeQueue
) -> None:
    gateway = await start(max_downloads=ONE_EACH)
    async with gateway.client(VIEWER) as viewer, AsyncExitStack() as stack:
        queue.content = bytes(64 * 1024 * 1024)
        queue.video = make_video(queue.content)
        queue.chunk_bytes = 256 * 1024
        await slow_reader(gateway, SOURCE, stack)
        assert await status_of(viewer, "/videos") == 200
        queue.video = make_video(description="x" * 70_000)
        await refused(viewer, "/videos", "downloads")


async def test_a_large_page_comes_whole(gateway: Gateway, queue: FakeQueue) -> None:
    queue.video = make_video(description="x" * 200_000)
    async with gateway.client(VIEWER) as viewer, viewer.get("/videos") as response:
        assert int(response.headers["Content-Length"]) > 200_000
        assert (await response.json())["videos"][0]["description"] == "x" * 200_000
