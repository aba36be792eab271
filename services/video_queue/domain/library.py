"""What the gateway can do with stored videos."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import structlog

from video_queue.domain.errors import BytesLost
from video_queue.domain.notifier import Notifier
from video_queue.domain.ports import Catalog, Files
from video_queue.domain.renditions import Rendition
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.videos import Video, byte_range

_log = structlog.get_logger(__name__)


class Library:
    """Shows, reads and deletes what is stored. Every method may raise `CatalogUnavailable`."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Files,
        renditions: Files,
        notifier: Notifier,
        shielded: ShieldedTasks,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._renditions = renditions
        self._notifier = notifier
        self._shielded = shielded

    async def get(self, video_id: str) -> Video:
        """Return one video. Raises `VideoNotFound`."""
        return await self._catalog.get(video_id)

    async def page(self, size: int, before: int | None) -> tuple[list[Video], int | None]:
        """Return a page, newest first, and the position after which the next one begins."""
        return await self._catalog.page(size, before)

    async def watch(self, video_id: str) -> AsyncGenerator[Video]:
        """Yield the video as it is, then after each change, until its status is final.

        Raises `VideoNotFound`, also when it is deleted meanwhile, and `ShuttingDown`.
        """
        with self._notifier.subscribe(video_id) as news:
            seen = None
            while True:
                video = await self._catalog.get(video_id)
                if (now := (video.status, video.progress_percent)) != seen:
                    yield video
                if video.status.is_final:
                    return
                seen = now
                await news.wait()

    @asynccontextmanager
    async def reading(
        self, video_id: str, offset: int, length: int | None
    ) -> AsyncIterator[tuple[Video, AsyncIterator[bytes]]]:
        """Yield a video and its bytes. In a folder they stay readable when it is deleted meanwhile.

        Raises `VideoNotFound`, `InvalidRequest`, `RangeNotSatisfiable` and `BytesLost`.
        """
        video = await self._catalog.get(video_id)
        positions = byte_range(video.size_bytes, offset, length)
        try:
            async with self._sources.open(video.id, positions) as chunks:
                yield video, chunks
        except BytesLost as error:
            # Raises VideoNotFound if the video was deleted just now.
            await self._catalog.get(video_id)
            error.add_note(f"The source of video {video_id} is lost.")
            raise

    @asynccontextmanager
    async def reading_rendition(
        self, video_id: str, name: str, offset: int, length: int | None
    ) -> AsyncIterator[tuple[Rendition, AsyncIterator[bytes]]]:
        """Yield a rendition and its bytes, as `reading` does. Raises `RenditionNotFound` too."""
        rendition = await self._catalog.rendition(video_id, name)
        positions = byte_range(rendition.size_bytes, offset, length)
        try:
            async with self._renditions.open(rendition.id, positions) as chunks:
                yield rendition, chunks
        except BytesLost as error:
            await self._catalog.rendition(video_id, name)
            error.add_note(f"The rendition {name} of video {video_id} is lost.")
            raise

    async def delete(self, video_id: str, owner: str) -> None:
        """Remove a video of `owner`, and all that was made of it.

        Raises `VideoNotFound` or `NotTheOwner`.
        """
        await self._shielded.run(self._delete(video_id, owner))

    async def _delete(self, video_id: str, owner: str) -> None:
        video, dropped = await self._catalog.remove(video_id, owner)
        self._notifier.notify(video_id)
        _log.info("video.deleted", video=video_id, owner=owner)
        await self._sources.remove([video], owner=owner)
        await self._renditions.remove(dropped)
