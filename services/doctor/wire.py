"""Reading TLS's own notation: numbers, and vectors with their length before them (RFC 8446, 3)."""

from collections.abc import Iterator

from doctor.errors import DecodeError


class Reader:
    """Reads a structure from its beginning to its end. Raises `DecodeError` when it is too short.

    What it reads comes from the other side: nothing is believed, and nothing is copied but slices.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __len__(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > len(self):
            raise DecodeError(f"{count} bytes are announced, and {len(self)} are there.")
        begin = self._position
        self._position += count
        return self._data[begin : self._position]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "Reader":
        """Return what lies behind a length of `size` bytes."""
        return Reader(self.take(self.number(size)))

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(len(self))

    def numbers(self, size: int) -> Iterator[int]:
        """Yield everything that is left as numbers of `size` bytes."""
        while len(self):
            yield self.number(size)

    def vectors(self, size: int) -> Iterator["Reader"]:
        """Yield everything that is left as vectors."""
        while len(self):
            yield self.vector(size)
