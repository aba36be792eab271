"""The video queue's store in memory, as the peer in Node has it: to compare all but the disk.

The servicer, its checks and its messages are the service's own. Nothing here survives the process.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from benchmarks.variants.parts import replace
from video_queue.domain.errors import InvalidRequest, VideoNotFound
from video_queue.domain.notifier import Notifier
from video_queue.domain.quota import Quota
from video_queue.domain.videos import Clock, Metadata, Video, VideoStatus, byte_range
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

_CHUNK_BYTES: Final = 256 * 1024


def use() -> None:
    """Give the queue that is about to start a store in memory."""
    replace("video_queue.api.service", "opened", opened)


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock, _identity: object = None
) -> AsyncIterator[Store]:
    """Yield a store that begins empty."""
    memory = Memory(clock)
    notifier, quota = Notifier(), Quota(settings.quota_bytes, settings.owner_quota_bytes, 0, {})
    part = cast("Any", memory)
    yield Store(part, part, part, part, notifier, quota)


class Memory:
    """What the gateway asks of the store, and no work for transcoders."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._videos: dict[str, tuple[Video, list[bytes]]] = {}  # the oldest first

    async def check(self, owner: str, metadata: Metadata) -> None:
        """Take everything."""

    async def receive(self, owner: str, metadata: Metadata, chunks: AsyncIterator[bytes]) -> Video:
        """Store the video and return it. Raises `InvalidRequest` for one without bytes."""
        sha256, size_bytes, kept = hashlib.sha256(), 0, []
        async for chunk in chunks:
            sha256.update(chunk)
            size_bytes += len(chunk)
            kept.append(chunk)
        if not size_bytes:
            raise InvalidRequest("The stream has no bytes: send a chunk after the metadata.")
        now = self._clock()
        video = Video(
            id=str(uuid.uuid4()),
            owner=owner,
            title=metadata.title,
            description=metadata.description,
            content_type=metadata.content_type,
            size_bytes=size_bytes,
            sha256=sha256.digest(),
            status=VideoStatus.PENDING,
            progress_percent=0,
            failure_reason="",
            created_at=now,
            updated_at=now,
        )
        self._videos[video.id] = video, kept
        return video

    async def get(self, video_id: str) -> Video:
        """Return one video. Raises `VideoNotFound`."""
        return self._find(video_id)[0]

    async def page(self, _size: int, _before: int | None) -> tuple[list[Video], int | None]:
        """Return the newest videos."""
        return [video for video, _ in [*self._videos.values()][-50:]][::-1], None

    @asynccontextmanager
    async def reading(
        self, video_id: str, offset: int, length: int | None
    ) -> AsyncIterator[tuple[Video, AsyncIterator[bytes]]]:
        """Yield a video and its bytes. Raises `VideoNotFound`; whole videos only."""
        video, chunks = self._find(video_id)
        if len(byte_range(video.size_bytes, offset, length)) != video.size_bytes:
            raise InvalidRequest("The store of the benchmark gives whole videos only.")
        yield video, _pieces(chunks)

    async def release_lost(self) -> None:
        """There are no leases."""

    def _find(self, video_id: str) -> tuple[Video, list[bytes]]:
        try:
            return self._videos[video_id]
        except KeyError:
            raise VideoNotFound from None


async def _pieces(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _CHUNK_BYTES):
            yield chunk[start : start + _CHUNK_BYTES]
