"""Page tokens: where a list goes on, in a form that callers hand back and do not read."""

import base64
import binascii
import hashlib
from typing import Final

from video_queue.domain.errors import InvalidRequest

DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 200

_POSITION_BYTES: Final = 8
_MAX_POSITION: Final = 2**63 - 1  # what fits into a column of a database
_CHECKSUM_BYTES: Final = 8


def page_size_of(requested: int) -> int:
    """Return how many videos a page has: 0 means the default. Raises `InvalidRequest`."""
    if requested < 0:
        raise InvalidRequest(f"A page has 1 to {MAX_PAGE_SIZE} videos; 0 means the default.")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_page_token(position: int) -> str:
    """Return the token of a position, which is the catalog's number of a video."""
    packed = position.to_bytes(_POSITION_BYTES, "big")
    return base64.urlsafe_b64encode(packed + _checksum(packed)).decode("ascii").rstrip("=")


def decode_page_token(token: str) -> int:
    """Return the position in a token. Raises `InvalidRequest` for one that was changed.

    The checksum finds damage and guesses. It keeps no secret, so anybody can make a token that has
    the right one: of what it holds, no more is believed than that it is a position.
    """
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:_POSITION_BYTES]
    except (ValueError, binascii.Error):
        packed = b""
    position = int.from_bytes(packed, "big")
    # Encoded again it must be the same, letter for letter: base64 has spare bits.
    if encode_page_token(position) != token or not 0 < position <= _MAX_POSITION:
        raise InvalidRequest("The page token is not one of ours: begin at the first page.")
    return position


def _checksum(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_CHECKSUM_BYTES, person=b"page token").digest()
