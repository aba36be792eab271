"""Between the services packets are delayed, lost and held back, and connections reset."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_stack import Event, Service, Stack
from sample_video import make_sample_video
from tests.mtls.line import Line

MEBIBYTE = 1024 * 1024
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Connected:
    """A gateway that reaches its queue over a line of ours, and a client of it."""

    line: Line
    client: aiohttp.ClientSession

    async def upload(self, content: bytes, key: str = "") -> tuple[int, dict[str, Any]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        form = aiohttp.FormData({"title": "over a bad line"})
        form.add_field("file", pieces(), filename="video.mp4", content_type="video/mp4")
        headers = {"Idempotency-Key": key} if key else {}
        async with self.client.post("/videos", data=form, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def upload_until_stored(self, content: bytes, key: str) -> dict[str, Any]:
        """Repeat it while the queue does not know yet that the attempt before has ended."""
        async with asyncio.timeout(SECONDS):
            while True:
                status, video = await self.upload(content, key)
                if status == 201:
                    return video
                assert status == 409, video
                await asyncio.sleep(0.05)


@asynccontextmanager
async def over_a_line(
    running: tuple[Stack, Service, Service], folder: Path, **qualities: float
) -> AsyncIterator[Connected]:
    """Yield a second gateway in front of the running queue."""
    stack, queue, _ = running
    aside = Stack(folder, stack.authority)
    aside.write_certificates()
    async with Line.laid(queue.address, **qualities) as line:
        gateway = await asyncio.to_thread(aside.start_gateway, line.address)
        try:
            async with stack.session("client/uploader", gateway) as client:
                yield Connected(line, client)
        finally:
            await asyncio.to_thread(gateway.stop)


async def test_a_slow_line_with_losses_loses_nothing(
    running: tuple[Stack, Service, Service], tmp_path: Path
) -> None:
    """Injected: 10 ms for every piece, and 200 ms more for each that is lost, one of ten.

    Seen: no call fails, and what comes back is what was sent.
    """
    content = os.urandom(MEBIBYTE // 4)
    async with over_a_line(running, tmp_path, delay_seconds=0.01, lost=0.1) as connected:
        results = await asyncio.gather(*(connected.upload(content) for _ in range(3)))
        assert [status for status, _ in results] == [201] * 3
        for _, video in results:
            async with connected.client.get(f"/videos/{video['id']}/source") as response:
                assert response.status == 200
                assert await response.read() == content
    assert connected.line.carried_bytes > 6 * len(content)


async def test_an_upload_that_broke_off_is_told_and_can_be_repeated(
    running: tuple[Stack, Service, Service], tmp_path: Path
) -> None:
    """Injected: a reset of all connections to the queue when a half has arrived. Seen: 503."""
    content, key, half_is_there = os.urandom(MEBIBYTE), str(uuid.uuid4()), asyncio.Event()
    async with over_a_line(running, tmp_path) as connected:

        async def pieces() -> AsyncIterator[bytes]:
            yield content[: MEBIBYTE // 2]
            half_is_there.set()
            await cut.wait()
            yield content[MEBIBYTE // 2 :]

        cut = asyncio.Event()
        form = aiohttp.FormData({"title": "over a bad line"})
        form.add_field("file", pieces(), filename="video.mp4", content_type="video/mp4")

        async def send() -> tuple[int, str | None]:
            headers = {"Idempotency-Key": key}
            async with connected.client.post("/videos", data=form, headers=headers) as response:
                return response.status, response.headers.get("Retry-After")

        sending = asyncio.create_task(send())
        async with asyncio.timeout(SECONDS):
            await half_is_there.wait()
            while connected.line.carried_bytes < MEBIBYTE // 4:  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.01)
            connected.line.cut()
            cut.set()
            assert await sending == (503, "5")

        first, second = [await connected.upload_until_stored(content, key) for _ in range(2)]
        assert first["id"] == second["id"]


async def test_a_download_that_broke_off_goes_on_where_it_stopped(
    running: tuple[Stack, Service, Service], tmp_path: Path
) -> None:
    """Injected: a reset in the middle. Seen: a response without its end; the rest by its range."""
    content = os.urandom(8 * MEBIBYTE)
    async with over_a_line(running, tmp_path) as connected:
        _, video = await connected.upload(content)
        path, got = f"/videos/{video['id']}/source", bytearray()

        async def read(response: aiohttp.ClientResponse) -> None:
            async for piece in response.content.iter_any():
                got.extend(piece)
                connected.line.cut()

        async with connected.client.get(path) as response:
            etag = response.headers["ETag"]
            with pytest.raises(aiohttp.ClientPayloadError):
                await read(response)
        assert len(got) < len(content)
        headers = {"Range": f"bytes={len(got)}-", "If-Range": etag}
        async with connected.client.get(path, headers=headers) as response:
            assert response.status == 206
            got += await response.read()
    assert got == content


async def test_a_worker_that_hears_nothing_is_replaced(tmp_path: Path) -> None:
    """Injected: the line to a worker is held while it works, and released when all is done.

    Seen: its lease is lost, another worker completes the video, and no word of the first counts.
    """
    stack = Stack(tmp_path)
    stack.write_certificates()
    make_sample_video(tmp_path / "source.mp4", seconds=1)
    async with AsyncExitStack() as services:

        async def started(start: Callable[..., Service], *arguments: str, **more: Any) -> Service:
            service = await asyncio.to_thread(start, *arguments, **more)
            services.push_async_callback(asyncio.to_thread, service.stop)
            return service

        async def said(service: Service, **fields: object) -> None:
            def is_it(event: Event) -> bool:
                return event.items() >= fields.items()

            await asyncio.to_thread(service.log.wait_for, is_it, seconds=SECONDS)

        # On a busy machine the second worker may lose its lease too, and takes up the work again.
        queue = await started(
            stack.start_queue, VIDEO_QUEUE_LEASE_SECONDS="2", VIDEO_QUEUE_MAX_ATTEMPTS="100"
        )
        gateway = await started(stack.start_gateway, queue.address)
        line = await services.enter_async_context(Line.laid(queue.address))
        first = await started(stack.start_transcoder, line.address, number=1)
        async with stack.session("client/uploader", gateway) as client:
            connected = Connected(line, client)
            _, video = await connected.upload((tmp_path / "source.mp4").read_bytes())
            await said(queue, event="video.claimed", attempt=1)
            line.hold()
            await said(queue, event="video.status", status="pending", lease="lost")
            await started(stack.start_transcoder, queue.address, number=2)
            await said(queue, event="video.status", status="completed")
            line.release()
            await said(first, event="work.lost")
            async with client.get(f"/videos/{video['id']}") as response:
                assert (await response.json())["status"] == "completed"
        statuses = [event.get("status") for event in queue.log.events()]
        assert statuses.count("completed") == 1
