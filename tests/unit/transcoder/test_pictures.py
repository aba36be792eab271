"""A picture keeps its meaning when it is brought into the form of a rendition."""

from fractions import Fraction

import pytest
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange

from transcoder.media.facts import Colour, Facts, Orientation
from transcoder.media.pictures import Shaper
from transcoder.media.renditions import Size

NOT_SPECIFIED = 2


UPRIGHT = Orientation()


def shape(picture: VideoFrame, orientation: Orientation = UPRIGHT) -> VideoFrame:
    """Return the picture as a rendition of the same size has it."""
    size = Size(picture.width, picture.height)
    facts = Facts(
        stored=size,
        pixel_aspect=Fraction(1),
        orientation=orientation,
        frame_rate=Fraction(25),
        start_seconds=Fraction(0),
        colour=Colour(NOT_SPECIFIED, NOT_SPECIFIED, picture.colorspace),
        claimed_seconds=1,
    )
    return Shaper(facts, facts.upright, threads=1).shape(picture)


def grey(value: int, pixel_format: str) -> VideoFrame:
    picture = VideoFrame(64, 32, pixel_format)
    for plane, content in zip(picture.planes, (value, 128, 128), strict=True):
        plane.update(bytes([content]) * plane.buffer_size)
    picture.pts, picture.time_base = 7, Fraction(1, 90_000)
    return picture


@pytest.mark.parametrize(
    ("value", "pixel_format", "color_range", "expected"),
    [
        (16, "yuv420p", ColorRange.UNSPECIFIED, 16),
        (235, "yuv420p", ColorRange.MPEG, 235),
        (0, "yuv420p", ColorRange.JPEG, 16),
        (255, "yuvj420p", ColorRange.JPEG, 235),
        (0, "yuvj444p", ColorRange.JPEG, 16),
    ],
)
def test_black_and_white_are_what_a_player_expects(
    value: int, pixel_format: str, color_range: ColorRange, expected: int
) -> None:
    picture = grey(value, pixel_format)
    picture.color_range = color_range
    shaped = shape(picture)
    assert shaped.format.name == "yuv420p"
    assert bytes(shaped.planes[0])[0] == expected


@pytest.mark.parametrize(
    ("orientation", "size"),
    [
        (UPRIGHT, (64, 32)),
        (Orientation(is_transposed=True), (32, 64)),
        (Orientation(mirrors_left_right=True, mirrors_top_bottom=True), (64, 32)),
    ],
)
def test_a_picture_keeps_its_time_and_is_turned(
    orientation: Orientation, size: tuple[int, int]
) -> None:
    shaped = shape(grey(100, "yuv420p"), orientation)
    assert (shaped.width, shaped.height) == size
    assert shaped.pts == 7
    assert shaped.time_base == Fraction(1, 90_000)


def test_the_encoder_chooses_its_keyframes_itself() -> None:
    picture = grey(100, "yuv444p")
    picture.pict_type = PictureType.I
    assert shape(picture).pict_type == PictureType.NONE
