"""What a source says of itself, and what its first picture shows."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final, cast

from av.container import InputContainer
from av.rational import AVRational
from av.stream import Stream
from av.video.frame import VideoFrame

from transcoder.media.errors import TooLong, Undecodable
from transcoder.media.renditions import Size
from transcoder.media.source import Tracks, choose_tracks, decoded, open_source
from transcoder.sandbox.limits import Limits

_MICROSECONDS: Final = 1_000_000
_MAX_STRETCH: Final = 10  # of a pixel that is not square
_USUAL_FRAME_RATE: Final = Fraction(30)
_MAX_FRAME_RATE: Final = 240
# Code points of ITU-T H.273: what red, green and blue are converted with, and what says nothing.
_BT709: Final = 1
_NOT_SPECIFIED: Final = 2
# The matrices that FFmpeg's scaler can convert with: BT.709, FCC, BT.601 twice, SMPTE 240, BT.2020.
MATRICES: Final = frozenset({1, 4, 5, 6, 7, 9})


@dataclass(frozen=True, slots=True)
class Colour:
    """How numbers become colours: code points of ITU-T H.273, where 2 means not specified."""

    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a player turns a stored picture: rows become columns first, then it is mirrored."""

    is_transposed: bool = False
    mirrors_left_right: bool = False
    mirrors_top_bottom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rendition has to take over from its source."""

    stored: Size
    # Width of a pixel by its height.
    pixel_aspect: Fraction
    orientation: Orientation
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
        return size.turned() if self.orientation.is_transposed else size


def exact(ratio: Fraction | AVRational) -> Fraction:
    """Return what PyAV gives as a Fraction up to version 18, and then as a type of its own."""
    return Fraction(ratio.numerator, ratio.denominator)


def examine(descriptor: int, limits: Limits) -> Facts:
    """Open the source and decode its first picture. Raises `MediaError`."""
    with open_source(descriptor, limits) as container:
        tracks = choose_tracks(container, limits)
        start, end = _span(container, tracks)
        claimed = max(0.0, float(end - start))
        check_length(claimed, limits)
        picture = _first_picture(container, tracks, limits)
        aspect = exact(tracks.video.sample_aspect_ratio or Fraction(1))
        rate = exact(tracks.video.average_rate or _USUAL_FRAME_RATE)
        return Facts(
            stored=Size(picture.width, picture.height),
            pixel_aspect=aspect if 1 / _MAX_STRETCH < aspect < _MAX_STRETCH else Fraction(1),
            orientation=_orientation(picture),
            frame_rate=rate if 1 <= rate <= _MAX_FRAME_RATE else _USUAL_FRAME_RATE,
            start_seconds=start,
            colour=Colour(
                picture.color_primaries,
                picture.color_trc,
                _matrix(picture),
            ),
            claimed_seconds=claimed,
        )


def _span(container: InputContainer, tracks: Tracks) -> tuple[Fraction, Fraction]:
    """Return when the tracks begin and end, in seconds, as the headers say; 0 if they do not.

    The headers of the file speak of all of its tracks, of which some may not be converted.
    """
    if len(list(tracks)) == len(container.streams):
        times = (container.start_time or 0, container.duration or 0)
        return Fraction(times[0], _MICROSECONDS), Fraction(times[1], _MICROSECONDS)
    return min(map(_start_of_track, tracks)), max(map(_end_of_track, tracks))


def _start_of_track(track: Stream) -> Fraction:
    return (track.start_time or 0) * exact(track.time_base or Fraction(0))


def _end_of_track(track: Stream) -> Fraction:
    if track.duration:
        return _start_of_track(track) + track.duration * exact(track.time_base or Fraction(0))
    # Matroska has the lengths of its tracks in tags, as 01:23:45.678900000.
    match track.metadata.get("DURATION", "").split(":"):
        case [hours, minutes, seconds]:
            try:
                return 3600 * Fraction(hours) + 60 * Fraction(minutes) + Fraction(seconds)
            except (ValueError, ZeroDivisionError):
                return Fraction(0)
    return Fraction(0)


def _orientation(picture: VideoFrame) -> Orientation:
    """Return what the display matrix says (ISO/IEC 14496-12, section 6.2.2), to quarter turns."""
    try:
        matrix = bytes(cast("Mapping[str, bytes]", picture.side_data)["DISPLAYMATRIX"])
    except (KeyError, ValueError):  # none, or beside it something that PyAV does not know
        return Orientation()
    # Where a pixel at (x, y) is shown: (a x + c y, b x + d y). Positive y is downwards.
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(mirrors_left_right=a < 0, mirrors_top_bottom=d < 0)
    return Orientation(is_transposed=True, mirrors_left_right=c < 0, mirrors_top_bottom=b < 0)


def _matrix(picture: VideoFrame) -> int:
    if picture.format.is_rgb:
        return _BT709
    return picture.colorspace if picture.colorspace in MATRICES else _NOT_SPECIFIED


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
