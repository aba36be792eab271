"""Bringing a source to the worker's disk, whole and unchanged, and not a byte more."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from transcoder.errors import TranscoderError
from videoqueue_api.v1 import video_queue_pb2 as api


class WrongSource(TranscoderError):
    """The queue sent other bytes than it said: see whether its disk is damaged."""


async def download(chunks: AsyncIterator[bytes], path: Path, video: api.Video) -> None:
    """Write the chunks to a file. Raises `WrongSource` if they are not those of the video."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > video.size_bytes:
                raise WrongSource
            await asyncio.to_thread(file.write, chunk)
            digest.update(chunk)
    if (size_bytes, digest.digest()) != (video.size_bytes, video.sha256):
        raise WrongSource
