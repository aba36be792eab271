"""What a source says of itself, and what its first picture shows."""

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

from av.container import InputContainer
from av.rational import AVRational
from av.video.frame import VideoFrame

from transcoder.media.errors import TooLong, Undecodable
from transcoder.media.renditions import Size
from transcoder.media.source import Tracks, choose_tracks, decoded, open_source
from transcoder.sandbox.limits import Limits

_MICROSECONDS: Final = 1_000_000
_MAX_STRETCH: Final = 10  # of a pixel that is not square
_USUAL_FRAME_RATE: Final = Fraction(30)
_MAX_FRAME_RATE: Final = 240
_BT709: Final = 1  # what red, green and blue are converted with


@dataclass(frozen=True, slots=True)
class Colour:
    """How numbers become colours: code points of ITU-T H.273, where 2 means not specified."""

    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rendition has to take over from its source."""

    stored: Size
    # Width of a pixel by its height.
    pixel_aspect: Fraction
    # How a player turns the picture: 0, 90, 180 or -90 degrees, counterclockwise.
    turn: int
    # Pictures per second; a hint, since each picture has its own time.
    frame_rate: Fraction
    # When the first picture or sound is due.
    start_seconds: Fraction
    colour: Colour
    # 0 if the header does not say: a browser's MediaRecorder does not know when it writes it.
    claimed_seconds: float

    @property
    def upright(self) -> Size:
        """The size as it is watched: in square pixels, and turned."""
        size = Size(max(1, int(self.stored.width * self.pixel_aspect)), self.stored.height)
        return size.turned() if self.is_on_its_side else size

    @property
    def is_on_its_side(self) -> bool:
        """Whether width and height are exchanged when it is watched."""
        return self.turn in {90, -90}


def _exact(ratio: Fraction | AVRational) -> Fraction:
    """Return what PyAV gives as a Fraction up to version 18, and then as a type of its own."""
    return Fraction(ratio.numerator, ratio.denominator)


def examine(descriptor: int, limits: Limits) -> Facts:
    """Open the source and decode its first picture. Raises `MediaError`."""
    with open_source(descriptor, limits) as container:
        tracks = choose_tracks(container, limits)
        start = container.start_time or 0
        claimed = max(0, (container.duration or 0) - start) / _MICROSECONDS
        check_length(claimed, limits)
        picture = _first_picture(container, tracks, limits)
        aspect = _exact(tracks.video.sample_aspect_ratio or Fraction(1))
        rate = _exact(tracks.video.average_rate or _USUAL_FRAME_RATE)
        return Facts(
            stored=Size(picture.width, picture.height),
            pixel_aspect=aspect if 1 / _MAX_STRETCH < aspect < _MAX_STRETCH else Fraction(1),
            turn=(round(picture.rotation / 90) * 90 + 90) % 360 - 90,
            frame_rate=rate if 1 <= rate <= _MAX_FRAME_RATE else _USUAL_FRAME_RATE,
            start_seconds=Fraction(start, _MICROSECONDS),
            colour=Colour(
                picture.color_primaries,
                picture.color_trc,
                _BT709 if picture.format.is_rgb else picture.colorspace,
            ),
            claimed_seconds=claimed,
        )


def check_length(seconds: float, limits: Limits) -> None:
    """Raise `TooLong` if the video is."""
    if seconds > limits.max_seconds:
        raise TooLong(
            f"The video is longer than {timedelta(seconds=limits.max_seconds)} "
            "(hours, minutes, seconds), the longest allowed: upload a shorter one."
        )


def _first_picture(container: InputContainer, tracks: Tracks, limits: Limits) -> VideoFrame:
    for frame in decoded(container, Tracks(tracks.video, audio=None), limits):
        if isinstance(frame, VideoFrame):
            return frame
    raise Undecodable
