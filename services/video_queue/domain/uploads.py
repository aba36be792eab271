"""Receiving a video from its uploader."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from video_queue.domain.errors import KeyInUse, KeyUsed
from video_queue.domain.notifier import Notifier
from video_queue.domain.ports import Catalog, Files
from video_queue.domain.quota import Quota
from video_queue.domain.videos import Clock, Limits, Metadata, Video, VideoStatus

_log = structlog.get_logger(__name__)

# A size limit may be the length of an HTTP form, of which so many bytes may be the form's own.
_FORM_OVERHEAD_BYTES: Final = 16 * 1024


class Uploads:
    """Stores videos, whole or not at all."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Files,
        quota: Quota,
        notifier: Notifier,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._quota = quota
        self._notifier = notifier
        self._limits = limits
        self._clock = clock
        self._under_way: set[tuple[str, str]] = set()

    async def check(self, owner: str, metadata: Metadata) -> None:
        """Refuse before the first byte what can be refused then. Raises as `receive` does."""
        if metadata.idempotency_key:
            with self._alone(owner, metadata.idempotency_key):
                if await self._first(owner, metadata):
                    return  # a repeat is compared and not stored, so it needs no room
        self._quota.check(max(metadata.size_limit_bytes - _FORM_OVERHEAD_BYTES, 1), owner)
        await self._catalog.check_pending(owner, self._limits.pending_per_owner)

    async def receive(self, owner: str, metadata: Metadata, chunks: AsyncIterator[bytes]) -> Video:
        """Store the video and return it. If `chunks` raises, nothing is stored.

        A repeat of an upload with the same key is compared and not stored: the first one's video is
        returned, as it is now.

        Raises `InvalidRequest` for a video without bytes, `TooLarge`, `StoreFull`, `OwnerFull`,
        `TooManyPending`, `KeyInUse` and `KeyUsed`.
        """
        if not metadata.idempotency_key:
            return await self._store(owner, metadata, chunks)
        with self._alone(owner, metadata.idempotency_key):
            first = await self._first(owner, metadata)
            if not first:
                return await self._store(owner, metadata, chunks)
            if not await _is_content_of(first, chunks):
                raise KeyUsed
            return first

    @contextmanager
    def _alone(self, owner: str, key: str) -> Iterator[None]:
        """Hold a key, so that of two attempts at once one is refused before it sends its bytes.

        This only saves bytes: the catalog is what lets one upload of a key in.
        """
        if (owner, key) in self._under_way:
            raise KeyInUse
        self._under_way.add((owner, key))
        try:
            yield
        finally:
            self._under_way.remove((owner, key))

    async def _first(self, owner: str, metadata: Metadata) -> Video | None:
        """Return what was uploaded with the same key before, None if nothing was.

        Raises `KeyUsed` if it has other fields.
        """
        first = await self._catalog.uploaded_with(metadata.idempotency_key, owner, self._clock())
        fields = (metadata.title, metadata.description, metadata.content_type)
        if first and (first.title, first.description, first.content_type) != fields:
            raise KeyUsed
        return first

    async def _store(self, owner: str, metadata: Metadata, chunks: AsyncIterator[bytes]) -> Video:
        video_id = str(uuid.uuid4())

        async def record(size_bytes: int, sha256: bytes) -> Video:
            now = self._clock()
            video = Video(
                id=video_id,
                owner=owner,
                title=metadata.title,
                description=metadata.description,
                content_type=metadata.content_type,
                size_bytes=size_bytes,
                sha256=sha256,
                status=VideoStatus.PENDING,
                progress_percent=0,
                failure_reason="",
                created_at=now,
                updated_at=now,
            )
            await self._catalog.add(video, metadata.idempotency_key, self._limits.pending_per_owner)
            self._quota.keep(size_bytes, owner)
            self._notifier.notify(Notifier.WORK)
            _log.info("video.stored", video=video.id, owner=owner, size_bytes=size_bytes)
            return video

        return await self._sources.receive(
            video_id, chunks, self._limits.upload_bytes, record, owner=owner
        )


async def _is_content_of(video: Video, chunks: AsyncIterator[bytes]) -> bool:
    """Return whether the chunks are the video's bytes. Stops reading at the first one too many."""
    size_bytes, sha256 = 0, hashlib.sha256()
    async for chunk in chunks:
        size_bytes += len(chunk)
        if size_bytes > video.size_bytes:
            return False
        await asyncio.to_thread(sha256.update, chunk)
    return (size_bytes, sha256.digest()) == (video.size_bytes, video.sha256)
