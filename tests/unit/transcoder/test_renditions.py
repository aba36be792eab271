"""Which renditions a video gets, and how large they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.media.renditions import RENDITIONS, Size, plan

SIDES = st.integers(min_value=1, max_value=10_000)


@pytest.mark.parametrize(
    ("upright", "expected"),
    [
        (Size(3840, 2160), {"1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}),
        (Size(1920, 1080), {"1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}),
        (Size(1919, 1079), {"720p": (1280, 718), "360p": (640, 358)}),
        (Size(1080, 1920), {"1080p": (1080, 1920), "720p": (720, 1280), "360p": (360, 640)}),
        (Size(1440, 1080), {"1080p": (1440, 1080), "720p": (960, 720), "360p": (480, 360)}),
        (Size(1080, 1080), {"1080p": (1080, 1080), "720p": (720, 720), "360p": (360, 360)}),
        (Size(1920, 800), {"1080p": (1920, 800), "720p": (1280, 532), "360p": (640, 266)}),
        (Size(854, 480), {"360p": (640, 358)}),
        (Size(640, 360), {"360p": (640, 360)}),
        (Size(639, 359), {"360p": (638, 358)}),
        (Size(321, 181), {"360p": (320, 180)}),
        (Size(1, 1), {"360p": (2, 2)}),
    ],
)
def test_what_fills_its_box_is_made(upright: Size, expected: dict[str, tuple[int, int]]) -> None:
    assert {row.name: (size.width, size.height) for row, size in plan(upright)} == expected


@given(SIDES, SIDES)
def test_none_is_larger_than_the_source_or_its_box_nor_odd(width: int, height: int) -> None:
    for rendition, size in plan(Size(width, height)):
        assert size.width <= max(width, 2)
        assert size.height <= max(height, 2)
        assert size.width * size.height <= rendition.box.width * rendition.box.height
        assert size.width % 2 == size.height % 2 == 0


@given(SIDES, SIDES)
def test_a_portrait_is_a_landscape_turned(width: int, height: int) -> None:
    turned = [(row, size.turned()) for row, size in plan(Size(height, width))]
    assert plan(Size(width, height)) == turned


@given(SIDES, SIDES)
def test_the_smallest_rendition_is_always_there(width: int, height: int) -> None:
    assert plan(Size(width, height))[-1][0] == RENDITIONS[-1]
