"""Row 9: whether the store gets slower when it is full: the store alone, without the network."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import Place
from video_queue.domain.videos import Lease, Report, VideoStatus, utc_now
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store, opened

_WORKER: Final = "spiffe://video-demo.test/transcoder"
_PAGE: Final = 50
_BAR: Final = 1.3

# Half of the videos are completed, with a rendition each; the other half wait for a worker.
_RANDOM_ID: Final = "lower(hex(randomblob(4)) || '-' || hex(randomblob(14)))"
_FILL: Final = f"""
    WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :videos)
    INSERT INTO videos (number, id, owner, title, description, content_type, size_bytes, sha256,
        status, progress_percent, failure_reason, created_at, updated_at, lease_token, attempts)
    SELECT i, {_RANDOM_ID}, 'spiffe://video-demo.test/client/uploader', 'Video ' || i,
        'A day by the sea, a night in town, and the way back.', 'video/mp4', 1, randomblob(32),
        iif(i % 2, 'completed', 'pending'), iif(i % 2, 100, 0), '', i, i, i % 2, i % 2
    FROM numbers;
"""  # noqa: S608  there is nothing in it but what stands above
_FILL_RENDITIONS: Final = f"""
    INSERT INTO renditions (id, video_id, lease_token, name, content_type, size_bytes, sha256,
        width, height, duration_ms)
    SELECT {_RANDOM_ID}, id, 1, '720p', 'video/mp4', 1, randomblob(32), 1280, 720, 60000
    FROM videos WHERE status = 'completed';
"""  # noqa: S608


def against_small(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of list, get, claim and status update, with many videos against few."""
    calls = scale.store_calls
    with asyncio.Runner() as runner:
        stores = {
            videos: runner.run(_filled(place.below(f"{videos}-videos").folder, videos))
            for videos in sorted({scale.few_videos, scale.some_videos, scale.many_videos})
        }
        try:
            for title, call, small in (
                ("list, first page", Filled.first_page, scale.few_videos),
                ("list, pages deep inside", Filled.deep_page, scale.some_videos),
                ("get", Filled.get, scale.few_videos),
                ("claim", Filled.claim, scale.few_videos),
                ("status update", Filled.report, scale.few_videos),
            ):
                many, few = f"{scale.many_videos:,} videos", f"{small:,} videos"
                number = max(calls // 4, 1) if title == "claim" else calls
                samples = scale.rounds.alternate(
                    {
                        side: partial(_measure, runner, partial(call, stores[videos]), number)
                        for side, videos in ((many, scale.many_videos), (few, small))
                    }
                )
                yield compare(
                    samples,
                    many,
                    few,
                    "cpu",
                    row="9",
                    title=title,
                    unit="CPU ms",
                    bar=_BAR,
                )
        finally:
            for store in stores.values():
                runner.run(store.closing.aclose())


def _measure(runner: asyncio.Runner, call: Callable[[], Awaitable[None]], number: int) -> Sample:
    async def calls() -> None:
        for _ in range(number):
            await call()

    before = time.process_time()  # of all threads: SQLite works in some of its own
    runner.run(calls())
    return {"cpu": (time.process_time() - before) * 1000 / number}


@dataclass(slots=True)
class Filled:
    """A store with so many videos in it; each method is one call of the row."""

    store: Store
    videos: int
    ids: list[str]
    closing: AsyncExitStack
    leases: list[Lease] = field(default_factory=list)

    async def first_page(self) -> None:
        """List the newest videos."""
        await self.store.library.page(_PAGE, None)

    async def deep_page(self) -> None:
        """List a page from anywhere but the ends."""
        position = random.randint(self.videos // 4, self.videos // 2)  # noqa: S311  no secret
        page, _ = await self.store.library.page(_PAGE, position)
        if len(page) != _PAGE:
            raise RuntimeError("The page is not full.")

    async def get(self) -> None:
        """Get any video."""
        await self.store.library.get(random.choice(self.ids))  # noqa: S311

    async def claim(self) -> None:
        """Claim the next video."""
        claim = await self.store.work.claim(_WORKER, 0)
        if claim is None:
            raise RuntimeError("There is nothing left to claim.")
        self.leases.append(claim.lease)

    async def report(self) -> None:
        """Say of a claimed video that the work goes on."""
        report = Report(VideoStatus.PROCESSING, 50, "")
        await self.store.work.report(_WORKER, random.choice(self.leases), report)  # noqa: S311


async def _filled(data: Path, videos: int) -> Filled:
    settings = Settings.from_environment(_variables(data))
    async with opened(settings, utc_now):
        pass  # which makes the tables
    ids = await asyncio.to_thread(_fill, data / "video-queue.db", videos)
    closing_later = AsyncExitStack()
    store = await closing_later.enter_async_context(opened(settings, utc_now))
    return Filled(store, videos, ids, closing_later)


def _variables(data: Path) -> Mapping[str, str]:
    return {
        "VIDEO_QUEUE_DATA": str(data),
        "VIDEO_QUEUE_LEASE_SECONDS": "86400",
    }


def _fill(database: Path, videos: int) -> list[str]:
    """Fill the tables; return the IDs of some videos, from all over."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_FILL, {"videos": videos})
        connection.execute(_FILL_RENDITIONS)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        step = max(videos // 1000, 1)
        rows = connection.execute("SELECT id FROM videos WHERE number % ? = 0", (step,))
        return [str(row[0]) for row in rows]
