"""How many bytes the store may hold, the uploads that are on their way included."""

from video_queue.errors import StoreFull


class Quota:
    """Counts bytes. Only one process has the data folder (data_folder.py), so it counts here."""

    def __init__(self, limit_bytes: int, used_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = used_bytes

    @property
    def used_bytes(self) -> int:
        """What is stored or reserved."""
        return self._used_bytes

    def check(self, size_bytes: int) -> None:
        """Raise `StoreFull` if there is no room for so many more bytes."""
        if self._used_bytes + size_bytes > self._limit_bytes:
            raise StoreFull

    def reserve(self, size_bytes: int) -> None:
        """Take room for so many more bytes. Raises `StoreFull`, and then takes none."""
        self.check(size_bytes)
        self._used_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back the room of a video that is gone or never came."""
        self._used_bytes -= size_bytes
