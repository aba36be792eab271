"""The rules of renditions: names, types, sizes, and the order in which they are shown."""

from typing import Any

import pytest

from video_queue.domain.errors import InvalidRequest
from video_queue.domain.renditions import Rendition, RenditionMetadata, in_order

GOOD: dict[str, Any] = {
    "name": "720p",
    "content_type": "video/mp4",
    "width": 1280,
    "height": 720,
    "duration_ms": 1,
}


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"name": "a"},
        {"name": "x" * 32},
        {"name": "thumbnail", "content_type": "image/jpeg", "duration_ms": 0},
        {"width": 16_384, "height": 1},
        {"duration_ms": 2**31 - 1},
    ],
)
def test_a_rendition_within_the_rules_is_taken(said: dict[str, Any]) -> None:
    wanted = GOOD | said
    assert RenditionMetadata.checked(**wanted) == RenditionMetadata(**wanted)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 33}, "name"),
        ({"name": "720P"}, "name"),
        ({"name": "720p\n"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "\u0663"}, "name"),  # a digit, but not one of ours
        ({"content_type": "video/webm"}, "is one of"),
        ({"width": 0}, "pixels"),
        ({"height": -1}, "pixels"),
        ({"height": 16_385}, "pixels"),
        ({"duration_ms": -1}, "milliseconds"),
        ({"content_type": "image/jpeg", "duration_ms": 1}, "milliseconds"),
    ],
)
def test_another_rendition_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        RenditionMetadata.checked(**GOOD | said)


def rendition(name: str, width: int, height: int, content_type: str = "video/mp4") -> Rendition:
    said = {"name": name, "width": width, "height": height, "content_type": content_type}
    return Rendition(**GOOD | said, id=name, size_bytes=1, sha256=bytes(32))


def test_the_largest_is_shown_first_and_a_picture_last() -> None:
    large, portrait, small = (
        rendition("720p", 1280, 720),
        rendition("360p", 202, 360),
        rendition("180p", 320, 180),
    )
    picture = rendition("thumbnail", 4000, 4000, "image/jpeg")
    assert in_order([picture, small, large, portrait]) == (large, portrait, small, picture)
