"""Taking in a file: first the bytes, then the row, then the acknowledgement.

A crash before the row leaves a file that nobody knows, and the next start sweeps it away. So what
is listed is whole, and what was acknowledged is there.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.errors import (
    CallError,
    CatalogUnavailable,
    InvalidRequest,
    StreamStalled,
    TooLarge,
)
from video_queue.storage.open_files import IncomingFile
from video_queue.storage.quota import Quota

_Result = TypeVar("_Result")

Record = Callable[[int, bytes], Awaitable[_Result]]
"""Writes the row of a file, of which it is given the size in bytes and the SHA-256."""


class IncomingFiles:
    """Takes in files, whole or not at all."""

    def __init__(self, quota: Quota, shielded: ShieldedTasks, *, idle_seconds: float) -> None:
        self._quota = quota
        self._shielded = shielded
        self._idle_seconds = idle_seconds

    async def receive(
        self,
        file: IncomingFile,
        chunks: AsyncIterator[bytes],
        max_bytes: int,
        record: Record[_Result],
    ) -> _Result:
        """Store the bytes, then `record` them. Unless `chunks` comes to its end, nothing is stored.

        Raises `InvalidRequest` if there are no bytes, `TooLarge`, `StoreFull` and `StreamStalled`.
        """
        arrival = _Arrival(file)
        try:
            await self._read(arrival, chunks, max_bytes)
        except BaseException:
            await self._shielded.run(self._discard(arrival))
            raise
        return await self._shielded.run(self._finish(arrival, record))

    async def compare(self, chunks: AsyncIterator[bytes], size_bytes: int, sha256: bytes) -> bool:
        """Return whether the chunks are the bytes of that size and SHA-256, and store nothing.

        What is too long is not read to its end. Raises `StreamStalled`.
        """
        arrived_bytes, arrived_hash = 0, hashlib.sha256()
        while chunk := await self._next(chunks):
            arrived_bytes += len(chunk)
            if arrived_bytes > size_bytes:
                return False
            await asyncio.to_thread(arrived_hash.update, chunk)
        return (arrived_bytes, arrived_hash.digest()) == (size_bytes, sha256)

    async def _read(
        self, arrival: "_Arrival", chunks: AsyncIterator[bytes], max_bytes: int
    ) -> None:
        while chunk := await self._next(chunks):
            if arrival.size_bytes + len(chunk) > max_bytes:
                raise TooLarge(f"It may have {max_bytes} bytes at most: send a smaller one.")
            self._quota.reserve(len(chunk))
            arrival.size_bytes += len(chunk)
            await asyncio.to_thread(arrival.file.write, chunk)
        if arrival.size_bytes == 0:
            raise InvalidRequest("The stream has no bytes: send a chunk after the metadata.")

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await anext(chunks, None)
        except TimeoutError as error:
            raise StreamStalled from error

    async def _finish(self, arrival: "_Arrival", record: Record[_Result]) -> _Result:
        try:
            sha256 = await asyncio.to_thread(arrival.file.keep)
        except BaseException:
            await self._discard(arrival)
            raise
        try:
            return await record(arrival.size_bytes, sha256)
        except CatalogUnavailable:
            raise  # The row may be there or not: the file stays, and the next start finds out.
        except CallError:
            await self._discard(arrival)
            raise

    async def _discard(self, arrival: "_Arrival") -> None:
        self._quota.release(arrival.size_bytes)
        await asyncio.to_thread(arrival.file.discard)


class _Arrival:
    """A file on its way, and how many bytes of the quota are reserved for it."""

    def __init__(self, file: IncomingFile) -> None:
        self.file = file
        self.size_bytes = 0
