"""An upload that is repeated with its key until it is answered is stored once."""

import asyncio
import hashlib
import random
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp

from local_stack import Service, Stack
from tests.examples.servers import free_address

UPLOADERS: Final = 4
VIDEOS_EACH: Final = 8
KILLS: Final = 5
PATIENCE_SECONDS: Final = 120

TRY_AGAIN: Final = {
    409,  # the attempt before is still under way
    503,  # the queue is away, or went away in the middle
    504,
}


class Uploader:
    """A client that loses its connection now and then, and counts the answers it gets."""

    def __init__(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self.session, self.chance = session, chance
        self.answers: Counter[int | str] = Counter()
        self.acknowledged: dict[str, str] = {}

    async def upload(self, title: str) -> None:
        """Repeat the same form until it is answered with 201, and then once more."""
        content = self.chance.randbytes(self.chance.randint(1, 1_000_000))
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
        stored = 0
        while stored < 2:
            status: int | str
            patience = self.chance.choice([PATIENCE_SECONDS, self.chance.uniform(0, 0.2)])
            try:
                async with asyncio.timeout(patience):
                    status = await self._attempt(title, content, headers)
            except TimeoutError:
                status = "cut off"
            self.answers[status] += 1
            stored += status == 201
            if status in TRY_AGAIN:
                await asyncio.sleep(0.05)  # as Retry-After asks for, and shorter

    async def _attempt(self, title: str, content: bytes, headers: dict[str, str]) -> int:
        form = aiohttp.FormData({"title": title})
        form.add_field("file", content, filename="video.mp4", content_type="video/mp4")
        async with self.session.post("/videos", data=form, headers=headers) as response:
            body = await response.json(content_type=None)
        assert response.status in {201, *TRY_AGAIN}, body
        if response.status == 201:
            assert response.headers["Location"] == f"/videos/{body['id']}"
            assert body["sha256"] == hashlib.sha256(content).hexdigest()
            self.acknowledged[body["id"]] = title
        return response.status


async def kill_at_random_moments(stack: Stack, queue: Service, chance: random.Random) -> Service:
    """Kill the queue again and again; return the one that lives."""
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0, 0.2))
        queue.kill()
        queue = await asyncio.to_thread(stack.start_queue, queue.address)
    return queue


async def test_each_video_is_stored_exactly_once(tmp_path: Path) -> None:
    """Injected: kill -9 of the queue, and clients that go away in the middle.

    Seen: 503, now and then 409, and one video for each key.
    """
    stack, chance = Stack(tmp_path), random.Random()  # noqa: S311  no secret
    stack.write_certificates()
    queue = await asyncio.to_thread(stack.start_queue, free_address())
    try:
        with stack.start_gateway(queue.address) as gateway:
            async with stack.session("client/uploader", gateway) as session:
                uploader = Uploader(session, chance)

                async def upload_all(name: int) -> None:
                    for number in range(VIDEOS_EACH):
                        await uploader.upload(f"{name}.{number}")

                async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
                    killing = tasks.create_task(kill_at_random_moments(stack, queue, chance))
                    for name in range(UPLOADERS):
                        tasks.create_task(upload_all(name))
                queue = killing.result()
                async with session.get("/videos?page_size=200") as response:
                    videos = (await response.json())["videos"]
    finally:
        queue.stop()
    assert {video["id"]: video["title"] for video in videos} == uploader.acknowledged
    assert len(videos) == UPLOADERS * VIDEOS_EACH
    assert uploader.answers[503]  # the kills were felt
