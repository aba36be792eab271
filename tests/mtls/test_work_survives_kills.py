"""Kill the queue and its workers at any moment: no video is lost, none is completed twice.

Also nobody ever sees a part of what was made: a video shows either all of its renditions or none.
"""

import asyncio
import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp

from local_stack import Service, Stack
from sample_video import make_sample_video
from tests.examples.servers import free_address

ROUNDS: Final = 24
VIDEOS: Final = 12
WORKERS: Final = 2
PATIENCE_SECONDS: Final = 120
QUEUE_SETTINGS: Final = {
    "VIDEO_QUEUE_LEASE_SECONDS": "1",
    "VIDEO_QUEUE_MAX_ATTEMPTS": "100",  # so many kills would use up any usual number
}
WORKER_SETTINGS: Final = {"TRANSCODER_RETRY_SECONDS": "0.2", "TRANSCODER_WAIT_SECONDS": "1"}


class Fleet:
    """The processes of a stack, each of which can be killed and started again."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.queue = stack.start_queue(free_address(), **QUEUE_SETTINGS)
        self.gateway = stack.start_gateway(self.queue.address)
        self.workers = [self._worker(number) for number in range(WORKERS)]

    def _worker(self, number: int) -> Service:
        return self.stack.start_transcoder(self.queue.address, number, **WORKER_SETTINGS)

    def strike(self, victim: int) -> None:
        """Kill worker `victim`, or the queue if there is no such worker; start it again."""
        if victim < WORKERS:
            self.workers[victim].kill()
            self.workers[victim] = self._worker(victim)
        else:
            self.queue.kill()
            self.queue = self.stack.start_queue(self.queue.address, **QUEUE_SETTINGS)

    def stop(self) -> None:
        for service in (*self.workers, self.gateway, self.queue):
            service.stop()


async def test_no_video_is_lost_or_completed_twice(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.write_certificates()
    make_sample_video(tmp_path / "source.mp4", seconds=1, width=320, height=180)
    source = (tmp_path / "source.mp4").read_bytes()
    fleet = await asyncio.to_thread(Fleet, stack)
    try:
        async with stack.session("client/uploader", fleet.gateway) as session:
            uploaded = [await upload(session, source) for _ in range(VIDEOS)]
            for _ in range(ROUNDS):
                await asyncio.sleep(random.uniform(0, 0.5))  # noqa: S311  at any moment
                await asyncio.to_thread(fleet.strike, random.randrange(WORKERS + 1))  # noqa: S311
                await check_that_no_part_is_shown(session)
            videos = await all_final(session, uploaded)
            assert {video["status"] for video in videos} == {"completed"}
            for video in videos:
                await check_renditions(session, video)
    finally:
        await asyncio.to_thread(fleet.stop)
    completed = Counter(
        event["video"]
        for event in fleet.queue.log.events()
        if event["event"] == "video.status" and event["status"] == "completed"
    )
    # A queue that is killed right after it has written the completion down never logs it.
    assert set(completed) <= set(uploaded)
    assert set(completed.values()) == {1}


async def get_json(session: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """Get it, again and again while the queue is away."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with session.get(path) as response:
                body: dict[str, Any] = await response.json(content_type=None)
                if response.status == 200:
                    return body
                assert response.status in {503, 504}, body
            await asyncio.sleep(0.05)


async def upload(session: aiohttp.ClientSession, source: bytes) -> str:
    form = aiohttp.FormData({"title": "survivor"})
    form.add_field("file", source, filename="source.mp4", content_type="video/mp4")
    async with session.post("/videos", data=form) as response:
        assert response.status == 201
        return str((await response.json())["id"])


async def check_that_no_part_is_shown(session: aiohttp.ClientSession) -> None:
    for video in (await get_json(session, "/videos?page_size=200"))["videos"]:
        names = [rendition["name"] for rendition in video["renditions"]]
        assert names == (["360p", "thumbnail"] if video["status"] == "completed" else [])


async def check_renditions(session: aiohttp.ClientSession, video: dict[str, Any]) -> None:
    for rendition in video["renditions"]:
        async with session.get(rendition["url"]) as response:
            content = await response.read()
        assert len(content) == rendition["size_bytes"]
        assert hashlib.sha256(content).hexdigest() == rendition["sha256"]


async def all_final(session: aiohttp.ClientSession, ids: list[str]) -> list[dict[str, Any]]:
    """Wait until no video changes any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            videos = [await get_json(session, f"/videos/{video_id}") for video_id in ids]
            if all(video["status"] in {"completed", "failed"} for video in videos):
                return videos
            await asyncio.sleep(0.2)
