"""Files, sources and renditions: a file is stored whole or not at all.

Storing has an order: first the bytes, then the row, then the acknowledgement. A backend
knows where the bytes are: folder.py in a folder, bucket.py in an object store. A crash before the
row leaves a file without a row, which a sweep removes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from video_queue.domain.errors import CallError, CatalogUnavailable, InvalidRequest, TooLarge
from video_queue.domain.ports import Record, Stored
from video_queue.domain.quota import Quota
from video_queue.domain.shielded_tasks import ShieldedTasks

_Result = TypeVar("_Result")

IsKnown = Callable[[list[str]], Awaitable[set[str]]]
"""Returns those of the IDs that are in the catalog: it is asked for some hundreds at once."""


class Incoming(Protocol):
    """A file while it arrives. Every method may raise `StoreFull` or `FilesUnavailable`."""

    async def write(self, chunk: bytes) -> None:
        """Append to the file."""

    async def keep(self) -> bytes:
        """Make the file last, and visible under its name; return its SHA-256."""

    async def discard(self) -> None:
        """Remove the file, wherever it is by now. What cannot be removed is left to a sweep."""


class Backend(Protocol):
    """Where files are, each named by an ID."""

    @property
    def sweep_seconds(self) -> float | None:
        """How often to sweep while running; None where leftovers come from our crashes alone."""

    def incoming(self, file_id: str, max_bytes: int) -> Incoming:
        """Return a file that begins to arrive, and will have so many bytes at most."""

    def open(
        self, file_id: str, positions: range
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield the bytes at `positions`. Raises `BytesLost`, if it can before the first byte."""

    async def remove(self, file_id: str) -> None:
        """Delete a file that is no longer in the catalog."""

    async def sweep(self, is_known: IsKnown) -> int:
        """Delete what crashes have left, and is no upload under way; return how many files."""


class Files:
    """Files of one kind, each named by the ID of what it belongs to."""

    def __init__(self, backend: Backend, quota: Quota, shielded: ShieldedTasks) -> None:
        self._backend = backend
        self._quota = quota
        self._shielded = shielded

    async def receive(
        self,
        file_id: str,
        chunks: AsyncIterator[bytes],
        max_bytes: int,
        record: Record[_Result],
        *,
        owner: str | None = None,
    ) -> _Result:
        """Store the chunks as a file of `owner`, then `record` it: all of it, or nothing.

        Raises `InvalidRequest` if there are no bytes, `TooLarge`, `StoreFull`, `OwnerFull`,
        `FilesUnavailable`, and what `chunks` and `record` raise.
        """
        arrival = _Arrival(self._backend.incoming(file_id, max_bytes), owner)
        try:
            await self._write(arrival, chunks, max_bytes)
        except BaseException:
            await self._shielded.run(self._discard(arrival))
            raise
        return await self._shielded.run(self._finish(arrival, record))

    async def _write(
        self, arrival: "_Arrival", chunks: AsyncIterator[bytes], max_bytes: int
    ) -> None:
        async for chunk in chunks:
            if arrival.size_bytes + len(chunk) > max_bytes:
                raise TooLarge(f"A file may have {max_bytes} bytes at most: send a smaller one.")
            self._quota.reserve(len(chunk), arrival.owner)
            arrival.size_bytes += len(chunk)
            await arrival.file.write(chunk)
        if arrival.size_bytes == 0:
            raise InvalidRequest("The stream has no bytes: send a chunk after the metadata.")

    async def _finish(self, arrival: "_Arrival", record: Record[_Result]) -> _Result:
        try:
            sha256 = await arrival.file.keep()
        except BaseException:
            await self._discard(arrival)
            raise
        try:
            return await record(arrival.size_bytes, sha256)
        except CatalogUnavailable:
            raise  # The row may exist or not. The file stays, and a sweep finds out.
        except CallError:
            await self._discard(arrival)
            raise

    async def _discard(self, arrival: "_Arrival") -> None:
        self._quota.release(arrival.size_bytes, arrival.owner)
        await arrival.file.discard()

    @asynccontextmanager
    async def open(self, file_id: str, positions: range) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the bytes of a file at `positions`. Raises `BytesLost`, `FilesUnavailable`.

        From a folder they stay readable when the file is removed; from a bucket they may end there,
        with `BytesLost`.
        """
        async with self._backend.open(file_id, positions) as chunks:
            yield chunks

    async def remove(self, gone: Iterable[Stored], *, owner: str | None = None) -> None:
        """Delete the files of what is no longer in the catalog, and give `owner` back the room.

        After the rows: a crash in between leaves files without a row, which a sweep removes.
        """
        for each in gone:
            await self._backend.remove(each.id)
            self._quota.remove(each.size_bytes, owner)


class _Arrival:
    """A file that arrives, and how many bytes of whose quota are reserved for it."""

    def __init__(self, file: Incoming, owner: str | None) -> None:
        self.file = file
        self.owner = owner
        self.size_bytes = 0
