"""Which bytes of a file a client asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.videos.errors import RangeNotSatisfiable

# Section 14.1.2. More digits than these stand for no file; int() would refuse very many of them.
_INT_RANGE: Final = re.compile(r"([0-9]{1,100})-([0-9]{0,100})")
_SUFFIX_RANGE: Final = re.compile(r"-([0-9]{1,100})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included and counted from 0."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1

    def content_range(self, size_bytes: int) -> str:
        """Return the Content-Range of this part of a file (section 14.4)."""
        return f"bytes {self.first}-{self.last}/{size_bytes}"


def parse_range(header: str, size_bytes: int) -> ByteRange | None:
    """Return the range wanted of a file of `size_bytes`, or None to send the whole file.

    A range in another unit, one that is malformed, and several at once are ignored, as section
    14.2 allows. Raises `RangeNotSatisfiable` for a range without a single byte of the file.
    """
    unit, _, specifiers = header.partition("=")
    wanted = [item for item in map(_trim, specifiers.split(",")) if item]
    if unit.lower() != "bytes" or len(wanted) != 1:
        return None
    if match := _SUFFIX_RANGE.fullmatch(wanted[0]):
        suffix = min(int(match[1]), size_bytes)
        if suffix == 0:
            raise RangeNotSatisfiable(size_bytes)
        return ByteRange(size_bytes - suffix, size_bytes - 1)
    if match := _INT_RANGE.fullmatch(wanted[0]):
        first, last = int(match[1]), int(match[2] or size_bytes)
        if match[2] and last < first:
            return None  # section 14.1.1: such a range is invalid, not unsatisfiable
        if first >= size_bytes:
            raise RangeNotSatisfiable(size_bytes)
        return ByteRange(first, min(last, size_bytes - 1))
    return None


def _trim(item: str) -> str:
    """Remove optional whitespace (section 5.6.3), which is less than `str.strip` removes."""
    return item.strip(" \t")
