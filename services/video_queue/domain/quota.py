"""How many bytes the store may hold, and how many one owner: uploads under way included."""

from collections import Counter
from collections.abc import Mapping

from video_queue.domain.errors import OwnerFull, StoreFull


class Quota:
    """Counts in memory what is stored, and what is arriving.

    A queue that has its database to itself is right at any moment. Of several, each counts what
    arrives at itself, and learns once a second what is stored (`refresh`); so it refuses early what
    it can, and the transaction that adds a file has the last word (storage/usage_rows.py).

    What an owner has uploaded counts as that owner's. Renditions count in the total alone.
    """

    def __init__(
        self, limit_bytes: int, owner_bytes: int, used_bytes: int, used_by: Mapping[str, int]
    ) -> None:
        self._limit_bytes = limit_bytes
        self._owner_bytes = owner_bytes
        self._stored = _Bytes(used_bytes, used_by)
        self._arriving = _Bytes(0, {})

    @property
    def used_bytes(self) -> int:
        """How many bytes are stored or reserved."""
        return self._stored.total + self._arriving.total

    def used_by(self, owner: str) -> int:
        """How many of them an owner has uploaded, or is uploading."""
        return self._stored.by_owner[owner] + self._arriving.by_owner[owner]

    def check(self, size_bytes: int, owner: str | None = None) -> None:
        """Raise `StoreFull` or `OwnerFull` if there is no room for so many more bytes."""
        if self.used_bytes + size_bytes > self._limit_bytes:
            raise StoreFull
        if owner is not None and self.used_by(owner) + size_bytes > self._owner_bytes:
            raise OwnerFull(
                f"All videos of {owner} together may have {self._owner_bytes} bytes: "
                "delete some of them, then try again."
            )

    def reserve(self, size_bytes: int, owner: str | None = None) -> None:
        """Reserve room for so many more bytes, or raise as `check` does and reserve none."""
        self.check(size_bytes, owner)
        self._arriving.add(size_bytes, owner)

    def keep(self, size_bytes: int, owner: str | None = None) -> None:
        """Count what has arrived as stored."""
        self._arriving.add(-size_bytes, owner)
        self._stored.add(size_bytes, owner)

    def release(self, size_bytes: int, owner: str | None = None) -> None:
        """Give back what was reserved for a file that is not stored."""
        self._arriving.add(-size_bytes, owner)

    def remove(self, size_bytes: int, owner: str | None = None) -> None:
        """Give back the room of a file that was stored, and is removed."""
        self._stored.add(-size_bytes, owner)

    def refresh(self, used_bytes: int, used_by: Mapping[str, int]) -> None:
        """Take over what is stored, as the database has it."""
        self._stored = _Bytes(used_bytes, used_by)


class _Bytes:
    """A number of bytes, and whose they are."""

    def __init__(self, total: int, by_owner: Mapping[str, int]) -> None:
        self.total = total
        self.by_owner = Counter(by_owner)

    def add(self, size_bytes: int, owner: str | None) -> None:
        self.total += size_bytes
        if owner is not None:
            self.by_owner[owner] += size_bytes
            if not self.by_owner[owner]:
                del self.by_owner[owner]
