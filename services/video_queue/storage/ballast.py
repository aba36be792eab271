"""Room for the database on a disk that is full: to delete a row, too, takes room in its journal."""

import os
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_SIZE_BYTES: Final = 16 * 1024 * 1024


class Ballast:
    """A file of no use but its size, dropped when nothing else is left. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".ballast"
        self.is_loaded = False

    def load(self) -> None:
        """Take the room if it is not taken yet; unless there is hardly any."""
        if self._path.exists() or self._is_made():
            self.is_loaded = True

    def drop(self) -> None:
        """Give the room to who needs it."""
        self._path.unlink(missing_ok=True)
        self.is_loaded = False
        _log.warning("ballast.dropped", size_bytes=_SIZE_BYTES)

    def _is_made(self) -> bool:
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * _SIZE_BYTES:
            return False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE_BYTES)
        except OSError:  # somebody else was faster
            self._path.unlink()
            return False
        finally:
            os.close(descriptor)
        return True
