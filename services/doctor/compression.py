"""Certificates that travel compressed (RFC 8879), as OpenSSL 3.2 and newer send them when asked.

Of the three algorithms Python can read zlib. The doctor asks servers for none of them, so that it
can read what they present. What it sends is compressed when the server asks for that.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from doctor.codes import named
from doctor.errors import DecodeError
from doctor.wire import Reader

_ZLIB: Final = 1
_ALGORITHMS: Final[Mapping[int, str]] = {_ZLIB: "zlib", 2: "brotli", 3: "zstd"}
_MAX_BYTES: Final = 256 * 1024  # of a chain: what is longer would be there to fill our memory


@dataclass(frozen=True, slots=True)
class CompressedCertificate:
    """A Certificate message, compressed; `length` is how many bytes it has when it is not."""

    algorithm: int
    length: int
    data: bytes

    @classmethod
    def read(cls, body: Reader) -> Self:
        """Read a CompressedCertificate message (RFC 8879, section 4). Raises `DecodeError`."""
        return cls(body.number(2), body.number(3), body.vector(3).rest())

    @property
    def name(self) -> str:
        """The name of the algorithm."""
        return named(self.algorithm, _ALGORITHMS)

    def decompressed(self) -> Reader:
        """Return the Certificate message, without its header. Raises `DecodeError`."""
        if self.algorithm != _ZLIB:
            raise DecodeError(f"It is compressed with {self.name}, and only zlib can be read here.")
        try:
            message = zlib.decompressobj().decompress(self.data, _MAX_BYTES)
        except zlib.error as error:
            raise DecodeError(f"It cannot be decompressed: {error}") from error
        if len(message) != self.length:
            raise DecodeError(f"{self.length} bytes are announced, and {len(message)} came out.")
        return Reader(message)
