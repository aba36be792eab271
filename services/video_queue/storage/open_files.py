"""A file that arrives, and a file that is read. Their methods block: call them in a thread.

A call may be cancelled while a thread is still at work for it. Here each step is under a lock, and
closing waits for it: so nobody writes into, or reads from, a descriptor that is another's by now.
"""

import errno
import hashlib
import os
import threading
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from video_queue.domain.errors import BytesLost, StoreFull

CHUNK_BYTES: Final = 256 * 1024

# Written out in steps, the last sync of a large upload is short, and a slow disk slows the sender
# down instead of filling the page cache.
_SYNC_EVERY_BYTES: Final = 64 * 1024 * 1024
# So much of the disk is left to the database, which needs room in its journal even to delete.
_KEEP_FREE_BYTES: Final = 64 * 1024 * 1024


class IncomingFile:
    """A file while it arrives."""

    def __init__(self, temporary: Path, final: Path) -> None:
        self._path, self._final = temporary, final
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._unsynced = 0
        self._descriptor: int | None = None
        self._discarded = False

    def write(self, chunk: bytes) -> None:
        """Append to the file. Raises `StoreFull`."""
        with self._lock, _disk_full_is_store_full():
            descriptor = self._open()
            _check_free_space(descriptor)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            self._hash.update(chunk)
            self._unsynced += len(chunk)
            if self._unsynced >= _SYNC_EVERY_BYTES:
                os.fdatasync(descriptor)
                self._unsynced = 0

    def keep(self) -> bytes:
        """Make the file last; return its SHA-256. Raises `StoreFull`."""
        with self._lock, _disk_full_is_store_full():
            os.fsync(self._open())
            self._close()
            self._path.rename(self._final)
            self._path = self._final
            sync_folder(self._final.parent)
            return self._hash.digest()

    def discard(self) -> None:
        """Remove the file, wherever it is by now."""
        with self._lock:
            self._discarded = True
            self._close()
            self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._discarded:
            raise ValueError("This file was given up.")
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class StoredFile:
    """A file that is open for reading, and stays readable when it is deleted meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._closed = False

    def open(self) -> None:
        """Open the file. Raises `BytesLost` if there is none."""
        with self._lock:
            if self._closed:
                raise ValueError("This reading was given up.")
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise BytesLost from error

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on; none after the end."""
        with self._lock:
            if self._descriptor is None:
                raise ValueError("This file is not open.")
            return os.pread(self._descriptor, size, position)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    async def chunks(self, positions: range) -> AsyncIterator[bytes]:
        """Yield the bytes at `positions`, in pieces. Raises `BytesLost` if some are missing."""
        position = positions.start
        while position < positions.stop:
            wanted = min(CHUNK_BYTES, positions.stop - position)
            chunk = await to_thread(self.read, position, wanted)
            if not chunk:
                raise BytesLost
            position += len(chunk)
            yield chunk


def sync_folder(folder: Path) -> None:
    """Make new names in a folder last: fsync(2), "Description"."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_free_space(descriptor: int) -> None:
    disk = os.fstatvfs(descriptor)
    if disk.f_bavail * disk.f_frsize < _KEEP_FREE_BYTES:
        raise StoreFull


@contextmanager
def _disk_full_is_store_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreFull from error
        raise
