"""The folders of the files: sources and renditions, each there as a whole or not at all.

A file is written under incoming/, synced, and then renamed into its folder, whose own entry is
synced too. So a name there stands for a file that survives a power cut (fsync(2), rename(2)).
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from video_queue.storage.open_files import IncomingFile, StoredFile, sync_folder
from video_queue.storage.quota import Quota

_SWEEP_BATCH: Final = 500


class Stored(Protocol):
    """What stands for a file in the catalog: a video, or a rendition."""

    @property
    def id(self) -> str:
        """The name of the file."""

    @property
    def size_bytes(self) -> int:
        """How long it is."""


class Files:
    """A folder of files, each named by the ID of what it belongs to."""

    def __init__(self, data: Path, name: str, quota: Quota) -> None:
        self._incoming = data / "incoming"
        self._stored = data / name
        self._quota = quota

    def incoming(self, file_id: str) -> IncomingFile:
        """Return a new file; it is made with the first byte."""
        return IncomingFile(self._incoming / file_id, self._stored / file_id)

    @asynccontextmanager
    async def open(self, file_id: str) -> AsyncIterator[StoredFile]:
        """Yield a file, open. Raises `BytesLost` if there is none."""
        file = StoredFile(self._stored / file_id)
        try:
            await to_thread(file.open)
            yield file
        finally:
            await to_thread(file.close)

    async def remove(self, gone: Iterable[Stored]) -> None:
        """Delete the files of what is no longer in the catalog, and give back their room.

        After the rows: a crash in between leaves files without a row, which are swept.
        """
        for each in gone:
            await to_thread((self._stored / each.id).unlink, missing_ok=True)
            self._quota.release(each.size_bytes)

    async def sweep(self, is_known: Callable[[list[str]], Awaitable[set[str]]]) -> int:
        """Prepare the folders and delete what a crash has left; return how many files that were.

        `is_known` returns those of the IDs that are in the catalog. A file without a row is of what
        was never acknowledged, or was being deleted.
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
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self._stored.parent)
        return _names_in(self._incoming), _names_in(self._stored)


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _remove_all(folder: Path, names: list[str]) -> int:
    for name in names:
        (folder / name).unlink()
    return len(names)
