"""Receiving a video from its uploader."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from video_queue.domain.notifier import Notifier
from video_queue.domain.videos import Clock, Limits, Metadata, Video, VideoStatus
from video_queue.errors import KeyInUse, KeyUsed
from video_queue.storage.catalog import Catalog
from video_queue.storage.files import Files
from video_queue.storage.incoming_files import IncomingFiles
from video_queue.storage.quota import Quota

_log = structlog.get_logger(__name__)

# A size limit may be the length of an HTTP form, and so much of that may not be the video's.
_FORM_OVERHEAD_BYTES: Final = 16 * 1024


class Uploads:
    """Takes in videos, whole or not at all."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Files,
        incoming_files: IncomingFiles,
        quota: Quota,
        notifier: Notifier,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._incoming_files = incoming_files
        self._quota = quota
        self._notifier = notifier
        self._limits = limits
        self._clock = clock
        self._under_way: set[tuple[str, str]] = set()

    async def check(self, owner: str, metadata: Metadata) -> None:
        """Refuse at once what need not be read to be refused. Raises as `receive` does."""
        if metadata.idempotency_key:
            with self._alone(owner, metadata.idempotency_key):
                if await self._first(owner, metadata):
                    return  # to be compared, for which there is always room
        self._quota.check(max(metadata.size_limit_bytes - _FORM_OVERHEAD_BYTES, 1))

    async def receive(self, owner: str, metadata: Metadata, chunks: AsyncIterator[bytes]) -> Video:
        """Store the video and return it. Unless `chunks` comes to its end, nothing is stored.

        What was uploaded with this key before is returned as it is by now, and not stored again.

        Raises `InvalidRequest` for a video without bytes, `TooLarge`, `StoreFull`, `StreamStalled`,
        `KeyInUse` and `KeyUsed`.
        """
        if not metadata.idempotency_key:
            return await self._store(owner, metadata, chunks)
        with self._alone(owner, metadata.idempotency_key):
            first = await self._first(owner, metadata)
            if not first:
                return await self._store(owner, metadata, chunks)
            if not await self._incoming_files.compare(chunks, first.size_bytes, first.sha256):
                raise KeyUsed
            _log.info("video.repeated", video=first.id, owner=owner)
            return first

    @contextmanager
    def _alone(self, owner: str, key: str) -> Iterator[None]:
        """Hold a key, so that two attempts at once do not both send all their bytes.

        It is for their comfort: that but one is stored is decided by the catalog.
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
            await self._catalog.add(video, metadata.idempotency_key)
            self._notifier.notify(Notifier.WORK)
            _log.info("video.stored", video=video.id, owner=owner, size_bytes=size_bytes)
            return video

        file = self._sources.incoming(video_id)
        return await self._incoming_files.receive(file, chunks, self._limits.upload_bytes, record)
