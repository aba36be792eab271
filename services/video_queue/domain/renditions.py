"""What a rendition is, and which rules it obeys. Nothing here knows gRPC, SQL or files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from video_queue.domain.errors import InvalidRequest

_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_PICTURE: Final = "image/jpeg"
_CONTENT_TYPES: Final = ("video/mp4", _PICTURE)
_MAX_SIDE: Final = 16_384  # pixels
_MAX_DURATION_MS: Final = 2**31 - 1  # 24 days, and what fits into the contract's int32


@dataclass(frozen=True, slots=True, kw_only=True)
class RenditionMetadata:
    """What a worker says of a rendition; only `RenditionMetadata.checked` makes one from outside.

    Width and height are in pixels; the duration is 0 for a picture.
    """

    name: str
    content_type: str
    width: int
    height: int
    duration_ms: int

    @classmethod
    def checked(
        cls, *, name: str, content_type: str, width: int, height: int, duration_ms: int
    ) -> Self:
        """Return the metadata in its stored form. Raises `InvalidRequest`."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest("A rendition's name has 1 to 32 of the characters a-z, 0-9 and -.")
        if content_type not in _CONTENT_TYPES:
            raise InvalidRequest(f"A rendition is one of {', '.join(_CONTENT_TYPES)}.")
        if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
            raise InvalidRequest(f"A rendition is 1 to {_MAX_SIDE} pixels wide and high.")
        longest = 0 if content_type == _PICTURE else _MAX_DURATION_MS
        if not 0 <= duration_ms <= longest:
            raise InvalidRequest(f"{content_type} lasts 0 to {longest} milliseconds.")
        return cls(
            name=name,
            content_type=content_type,
            width=width,
            height=height,
            duration_ms=duration_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition(RenditionMetadata):
    """A stored rendition. `id` names its file, `sha256` is 32 bytes."""

    id: str
    size_bytes: int
    sha256: bytes


def in_order(renditions: Iterable[Rendition]) -> tuple[Rendition, ...]:
    """Return the renditions as they are shown: the largest first, pictures last."""

    def rank(rendition: Rendition) -> tuple[bool, int, str]:
        is_picture = rendition.content_type == _PICTURE
        return is_picture, -rendition.width * rendition.height, rendition.name

    return tuple(sorted(renditions, key=rank))
