"""Receiving a rendition from the worker that has made it."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict

import structlog

from video_queue.domain.ports import Files, Leases
from video_queue.domain.quota import Quota
from video_queue.domain.renditions import Rendition, RenditionMetadata
from video_queue.domain.videos import Clock, Lease, Limits

_log = structlog.get_logger(__name__)


class Publishing:
    """Stores renditions, whole or not at all; they are visible when their video is completed."""

    def __init__(
        self,
        leases: Leases,
        renditions: Files,
        quota: Quota,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._leases = leases
        self._renditions = renditions
        self._quota = quota
        self._limits = limits
        self._clock = clock

    async def check(self, lease: Lease, metadata: RenditionMetadata) -> None:
        """Refuse before the first byte. Raises `LeaseLost`, `TooManyRenditions` or `StoreFull`."""
        await self._leases.check_publish(
            lease, metadata.name, self._limits.renditions, self._clock()
        )
        self._quota.check(1)

    async def receive(
        self, worker: str, lease: Lease, metadata: RenditionMetadata, chunks: AsyncIterator[bytes]
    ) -> Rendition:
        """Store the rendition, replace one of the same name, and return it.

        Raises what `check` does, `InvalidRequest` and `TooLarge`; then nothing is stored, and an
        earlier one of the same name stays.
        """
        rendition_id = str(uuid.uuid4())

        async def record(size_bytes: int, sha256: bytes) -> Rendition:
            rendition = Rendition(
                **asdict(metadata), id=rendition_id, size_bytes=size_bytes, sha256=sha256
            )
            replaced = await self._leases.publish(
                lease, rendition, self._limits.renditions, self._clock()
            )
            self._quota.keep(size_bytes)
            _log.info(
                "rendition.stored",
                video=lease.video_id,
                name=rendition.name,
                size_bytes=size_bytes,
                worker=worker,
            )
            await self._renditions.remove(replaced)
            return rendition

        return await self._renditions.receive(
            rendition_id, chunks, self._limits.rendition_bytes, record
        )
