"""The files that are made of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

THUMBNAIL: Final = "thumbnail"
# By suffix.
CONTENT_TYPES: Final = {".mp4": "video/mp4", ".jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """A rendition, or the thumbnail, which lasts 0 seconds."""

    name: str
    path: Path
    content_type: str
    width: int
    height: int
    duration_seconds: float
    size_bytes: int


def file_name(name: str) -> str:
    """Return the name of the file that holds a rendition or the thumbnail."""
    return name + (".jpg" if name == THUMBNAIL else ".mp4")
