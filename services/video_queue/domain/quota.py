"""How many bytes the store may hold, uploads under way included."""

from video_queue.domain.errors import StoreFull


class Quota:
    """Counts in memory: one process at a time has the data folder (storage/store.py)."""

    def __init__(self, limit_bytes: int, used_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = used_bytes

    @property
    def used_bytes(self) -> int:
        """How many bytes are stored or reserved."""
        return self._used_bytes

    def check(self, size_bytes: int) -> None:
        """Raise `StoreFull` if there is no room for so many more bytes."""
        if self._used_bytes + size_bytes > self._limit_bytes:
            raise StoreFull

    def reserve(self, size_bytes: int) -> None:
        """Reserve room for so many more bytes. Raises `StoreFull`, and then reserves none."""
        self.check(size_bytes)
        self._used_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back the room of a file that was removed or was not stored."""
        self._used_bytes -= size_bytes
