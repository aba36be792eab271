"""Receiving a video from its uploader."""

import uuid
from collections.abc import AsyncIterator
from typing import Final

import structlog

from video_queue.bells import Bells
from video_queue.catalog import Catalog
from video_queue.files import Files
from video_queue.intake import Intake
from video_queue.quota import Quota
from video_queue.videos import Clock, Limits, Metadata, Video, VideoStatus

_log = structlog.get_logger(__name__)

# A size limit may be the length of an HTTP form, and so much of that may not be the video's.
_FORM_OVERHEAD_BYTES: Final = 16 * 1024


class Uploads:
    """Takes in videos, whole or not at all."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Files,
        intake: Intake,
        quota: Quota,
        bells: Bells,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._intake = intake
        self._quota = quota
        self._bells = bells
        self._limits = limits
        self._clock = clock

    def check_room(self, metadata: Metadata) -> None:
        """Refuse at once what will not fit. Raises `StoreFull`."""
        self._quota.check(max(metadata.size_limit_bytes - _FORM_OVERHEAD_BYTES, 1))

    async def receive(self, owner: str, metadata: Metadata, chunks: AsyncIterator[bytes]) -> Video:
        """Store the video and return it. Unless `chunks` comes to its end, nothing is stored.

        Raises `InvalidRequest` for a video without bytes, `TooLarge`, `StoreFull` and
        `StreamStalled`.
        """
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
            await self._catalog.add(video)
            self._bells.ring(Bells.WORK)
            _log.info("video.stored", video=video.id, owner=owner, size_bytes=size_bytes)
            return video

        file = self._sources.incoming(video_id)
        return await self._intake.receive(file, chunks, self._limits.upload_bytes, record)
