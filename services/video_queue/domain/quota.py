"""How many bytes the store may hold, and how many one owner: uploads under way included."""

from collections import Counter
from collections.abc import Mapping

from video_queue.domain.errors import OwnerFull, StoreFull


class Quota:
    """Counts in memory: one process at a time has the data folder (storage/store.py).

    What an owner has uploaded counts as that owner's. Renditions count in the total alone.
    """

    def __init__(
        self, limit_bytes: int, owner_bytes: int, used_bytes: int, used_by: Mapping[str, int]
    ) -> None:
        self._limit_bytes = limit_bytes
        self._owner_bytes = owner_bytes
        self._used_bytes = used_bytes
        self._used_by = Counter(used_by)

    @property
    def used_bytes(self) -> int:
        """How many bytes are stored or reserved."""
        return self._used_bytes

    def used_by(self, owner: str) -> int:
        """How many of them an owner has uploaded, or is uploading."""
        return self._used_by[owner]

    def check(self, size_bytes: int, owner: str | None = None) -> None:
        """Raise `StoreFull` or `OwnerFull` if there is no room for so many more bytes."""
        if self._used_bytes + size_bytes > self._limit_bytes:
            raise StoreFull
        if owner is not None and self._used_by[owner] + size_bytes > self._owner_bytes:
            raise OwnerFull(
                f"All videos of {owner} together may have {self._owner_bytes} bytes: "
                "delete some of them, then try again."
            )

    def reserve(self, size_bytes: int, owner: str | None = None) -> None:
        """Reserve room for so many more bytes, or raise as `check` does and reserve none."""
        self.check(size_bytes, owner)
        self._used_bytes += size_bytes
        if owner is not None:
            self._used_by[owner] += size_bytes

    def release(self, size_bytes: int, owner: str | None = None) -> None:
        """Give back the room of a file that was removed or was not stored."""
        self._used_bytes -= size_bytes
        if owner is not None:
            self._used_by[owner] -= size_bytes
            if not self._used_by[owner]:
                del self._used_by[owner]
