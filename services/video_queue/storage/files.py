"""The folders of files, sources and renditions: a file is stored whole or not at all.

Storing has an order: first the bytes, then the row, then the acknowledgement. A file is written
under incoming/, synced, and renamed into its folder, whose own entry is synced too; so a name there
stands for a file that survives a power cut (fsync(2), rename(2)). A crash before the row leaves a
file without a row, which the next start removes.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from video_queue.domain.errors import CallError, CatalogUnavailable, InvalidRequest, TooLarge
from video_queue.domain.ports import Record, Stored
from video_queue.domain.quota import Quota
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.storage.open_files import IncomingFile, StoredFile, sync_folder

_Result = TypeVar("_Result")

_SWEEP_BATCH: Final = 500


class Files:
    """A folder of files, each named by the ID of what it belongs to."""

    def __init__(self, data: Path, name: str, quota: Quota, shielded: ShieldedTasks) -> None:
        self._incoming = data / "incoming"
        self._stored = data / name
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

        Raises `InvalidRequest` if there are no bytes, `TooLarge`, `StoreFull`, `OwnerFull`, and
        what `chunks` and `record` raise.
        """
        file = IncomingFile(self._incoming / file_id, self._stored / file_id)
        arrival = _Arrival(file, owner)
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
            await to_thread(arrival.file.write, chunk)
        if arrival.size_bytes == 0:
            raise InvalidRequest("The stream has no bytes: send a chunk after the metadata.")

    async def _finish(self, arrival: "_Arrival", record: Record[_Result]) -> _Result:
        try:
            sha256 = await to_thread(arrival.file.keep)
        except BaseException:
            await self._discard(arrival)
            raise
        try:
            return await record(arrival.size_bytes, sha256)
        except CatalogUnavailable:
            raise  # The row may exist or not. The file stays, and the next start finds out.
        except CallError:
            await self._discard(arrival)
            raise

    async def _discard(self, arrival: "_Arrival") -> None:
        self._quota.release(arrival.size_bytes, arrival.owner)
        await to_thread(arrival.file.discard)

    @asynccontextmanager
    async def open(self, file_id: str) -> AsyncIterator[StoredFile]:
        """Yield a file, open. It stays readable when it is removed. Raises `BytesLost`."""
        file = StoredFile(self._stored / file_id)
        try:
            await to_thread(file.open)
            yield file
        finally:
            await to_thread(file.close)

    async def remove(self, gone: Iterable[Stored], *, owner: str | None = None) -> None:
        """Delete the files of what is no longer in the catalog, and give `owner` back the room.

        After the rows: a crash in between leaves files without a row, which the next start removes.
        """
        for each in gone:
            await to_thread((self._stored / each.id).unlink, missing_ok=True)
            self._quota.remove(each.size_bytes, owner)

    async def sweep(self, is_known: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """Make the folders, and delete what a crash has left; return how many files that were.

        `is_known` returns those of the IDs that are in the catalog. A file without a row belongs to
        an upload that was never acknowledged, or was being deleted.
        """
        unfinished, stored = await to_thread(self._prepare)
        swept = await to_thread(_remove_all, self._incoming, unfinished)
        for start in range(0, len(stored), _SWEEP_BATCH):
            batch = stored[start : start + _SWEEP_BATCH]
            orphans = set(batch) - await is_known(batch)
            swept += await to_thread(_remove_all, self._stored, sorted(orphans))
        return swept

    def _prepare(self) -> tuple[list[str], list[str]]:
        for folder in (self._incoming, self._stored):
            folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._stored.parent)
        return _names_in(self._incoming), _names_in(self._stored)


class _Arrival:
    """A file that arrives, and how many bytes of whose quota are reserved for it."""

    def __init__(self, file: IncomingFile, owner: str | None) -> None:
        self.file = file
        self.owner = owner
        self.size_bytes = 0


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _remove_all(folder: Path, names: list[str]) -> int:
    for name in names:
        (folder / name).unlink()
    return len(names)
