"""Which renditions a video gets, and how large they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def turned(self) -> "Size":
        """Return the size after a turn by 90 degrees."""
        return Size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class Rendition:
    """How one rendition is made: a row of `RENDITIONS`."""

    name: str
    # What a landscape picture must fit into; for a portrait it is turned.
    box: Size
    crf: int
    audio_bit_rate: int


# CRF, the constant rate factor, is x264's measure of loss: 18 looks like the source, 28 does not.
# Small pictures get a lower one, for they are shown enlarged.
RENDITIONS: Final = (
    Rendition("1080p", Size(1920, 1080), crf=23, audio_bit_rate=160_000),
    Rendition("720p", Size(1280, 720), crf=22, audio_bit_rate=128_000),
    Rendition("360p", Size(640, 360), crf=21, audio_bit_rate=96_000),
)


THUMBNAIL: Final = "thumbnail"


def file_name(name: str) -> str:
    """Return the name of the file that holds a rendition or the thumbnail."""
    return name + (".jpg" if name == THUMBNAIL else ".mp4")


def plan(upright: Size) -> Sequence[tuple[Rendition, Size]]:
    """Return the renditions of a video, and the size of each, for its size as it is watched.

    A name like 1080p says what the picture fills, not how many lines it has: the 1920x1080 of a
    screen, or 1080x1920 in portrait. So a film in 1920x800 is 1080p, as everybody calls it, a
    phone's 1080x1920 is so too, and no rendition has more pixels than its name promises.

    A rendition is never larger than the source: what does not fill its box is left out. Only the
    smallest is always there, be it at the source's own size.
    """
    planned = [
        (rendition, _even(upright, scale))
        for rendition in RENDITIONS
        if (scale := _scale_to_fit(upright, rendition.box)) <= 1
    ]
    return planned or [(RENDITIONS[-1], _even(upright, Fraction(1)))]


def _scale_to_fit(upright: Size, box: Size) -> Fraction:
    if upright.height > upright.width:
        box = box.turned()
    return min(Fraction(box.width, upright.width), Fraction(box.height, upright.height))


def _even(size: Size, scale: Fraction) -> Size:
    """Return the scaled size in even numbers, as 4:2:0 needs: a pixel of colour covers 2x2."""
    return Size(*(max(2, int(side * scale) // 2 * 2) for side in (size.width, size.height)))
