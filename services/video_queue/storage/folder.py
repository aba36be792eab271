"""Files in a folder, which is the default.

A file is written under incoming/, synced, and renamed into its folder, whose own entry is synced
too; so a name there stands for a file that survives a power cut (fsync(2), rename(2)).
"""

from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from video_queue.storage.files import IsKnown
from video_queue.storage.open_files import IncomingFile, StoredFile, sync_folder

_SWEEP_BATCH: Final = 500


class Folder:
    """The files of one kind, in `data`/`name`."""

    sweep_seconds: Final = None  # one process at a time has the data folder (store.py)

    def __init__(self, data: Path, name: str) -> None:
        self._incoming = data / "incoming"
        self._stored = data / name

    def incoming(self, file_id: str, max_bytes: int) -> "_Incoming":  # noqa: ARG002
        """Return a file that begins to arrive; a folder does not need to know how much follows."""
        return _Incoming(IncomingFile(self._incoming / file_id, self._stored / file_id))

    @asynccontextmanager
    async def open(self, file_id: str, positions: range) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the bytes at `positions`; they stay readable when the file is removed."""
        file = StoredFile(self._stored / file_id)
        try:
            await to_thread(file.open)
            yield file.chunks(positions)
        finally:
            await to_thread(file.close)

    async def remove(self, file_id: str) -> None:
        """Delete a file."""
        await to_thread((self._stored / file_id).unlink, missing_ok=True)

    async def sweep(self, is_known: IsKnown) -> int:
        """Make the folders, and delete what a crash has left; return how many files that were.

        Called before the first upload. A file without a row belongs to an upload that was never
        acknowledged, or was being deleted.
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


class _Incoming:
    """A file that arrives: each step in a thread, since it blocks."""

    def __init__(self, file: IncomingFile) -> None:
        self._file = file

    async def write(self, chunk: bytes) -> None:
        """Append to the file. Raises `StoreFull`."""
        await to_thread(self._file.write, chunk)

    async def keep(self) -> bytes:
        """Make the file last; return its SHA-256. Raises `StoreFull`."""
        return await to_thread(self._file.keep)

    async def discard(self) -> None:
        """Remove the file, wherever it is by now."""
        await to_thread(self._file.discard)


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _remove_all(folder: Path, names: list[str]) -> int:
    for name in names:
        (folder / name).unlink()
    return len(names)
