"""What a worker can do with a video: claim it, read it, report on it; publish: publishing.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from video_queue.domain.errors import BytesLost, LeaseLost
from video_queue.domain.notifier import Notifier
from video_queue.domain.ports import Catalog, Files, Leases
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.videos import Claim, Clock, Lease, Report, VideoStatus

_log = structlog.get_logger(__name__)


class Work:
    """Hands out work. Every method may raise `CatalogUnavailable`; a worker is a SPIFFE ID."""

    def __init__(
        self,
        catalog: Catalog,
        leases: Leases,
        sources: Files,
        renditions: Files,
        notifier: Notifier,
        shielded: ShieldedTasks,
        *,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._leases = leases
        self._sources = sources
        self._renditions = renditions
        self._notifier = notifier
        self._shielded = shielded
        self._clock = clock

    async def claim(self, worker: str, wait_seconds: float) -> Claim | None:
        """Return a video to work on, or None if there was none in `wait_seconds`.

        A worker that is cancelled just then may have claimed all the same; that lease runs out.
        Raises `ShuttingDown`.
        """
        deadline = asyncio.get_running_loop().time() + wait_seconds
        with self._notifier.subscribe(Notifier.WORK) as news:
            while True:
                await self.release_lost()
                if claim := await self._leases.claim(self._clock()):
                    self._notifier.notify(claim.video.id)
                    _log.info(
                        "video.claimed",
                        video=claim.video.id,
                        worker=worker,
                        token=claim.lease.token,
                        attempt=claim.attempt,
                    )
                    return claim
                try:
                    async with asyncio.timeout_at(deadline):
                        await news.wait()
                except TimeoutError:
                    return None

    @asynccontextmanager
    async def reading(self, lease: Lease) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the bytes of a claimed video. Raises `LeaseLost` or `BytesLost`."""
        video = await self._leases.video_under(lease, self._clock())
        try:
            async with self._sources.open(video.id, range(video.size_bytes)) as chunks:
                yield chunks
        except BytesLost as error:
            # Raises LeaseLost if the video was deleted just now.
            await self._leases.video_under(lease, self._clock())
            error.add_note(f"The source of video {video.id} is lost.")
            raise

    async def report(self, worker: str, lease: Lease, report: Report) -> None:
        """Store a report, and renew the lease if the work continues.

        Raises `LeaseLost`, or `InvalidRequest` for COMPLETED when nothing was published.
        """
        await self._shielded.run(self._report(worker, lease, report))

    async def beat(self, worker: str, lease: Lease, report: Report) -> None:
        """Store a report that the work continues. Raises `LeaseLost` or `VideoNotFound`."""
        try:
            await self.report(worker, lease, report)
        except LeaseLost:
            await self._catalog.get(lease.video_id)
            raise

    async def release_lost(self) -> None:
        """End every lease whose time is over, and put its video back into the queue."""
        await self._shielded.run(self._release_lost())

    async def _report(self, worker: str, lease: Lease, report: Report) -> None:
        try:
            video, dropped = await self._leases.report(lease, report, self._clock())
        except LeaseLost as error:
            error.add_note(f"{worker}: lease {lease.token} of video {lease.video_id[:36]}.")
            raise
        self._notifier.notify(video.id)
        if video.status is not VideoStatus.PROCESSING:
            _log.info("video.status", video=video.id, status=video.status.value, worker=worker)
        await self._renditions.remove(dropped)

    async def _release_lost(self) -> None:
        released, dropped = await self._leases.release_lost(self._clock())
        for video in released:
            _log.warning("video.status", video=video.id, status=video.status.value, lease="lost")
            self._notifier.notify(video.id)
            self._notifier.notify(Notifier.WORK)
        await self._renditions.remove(dropped)
