"""Looks at videos from the outside: at their pictures, and at the order of their boxes."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

import av
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

Pixel = tuple[int, int, int]
Picture = Sequence[Sequence[Pixel]]

# Few enough to compare in Python, enough to tell one picture from another.
_SIDE: Final = 24
# With colour for each pixel: by default two neighbours in a row share theirs.
_SCALING: Final = Interpolation.AREA | Interpolation.FULL_CHR_H_INT


def first_pictures(path: Path, count: int) -> list[Picture]:
    """Return the first pictures of a file as they are stored, scaled to a few pixels."""
    with av.open(path) as container:
        return [_scaled(picture) for picture in islice(container.decode(video=0), count)]


def turned(picture: Picture, degrees: int) -> Picture:
    """Return the picture turned counterclockwise."""
    for _ in range(degrees % 360 // 90):
        picture = list(zip(*picture, strict=True))[::-1]
    return picture


def mirrored(picture: Picture) -> Picture:
    """Return the picture with left and right exchanged."""
    return [row[::-1] for row in picture]


def difference(one: Picture, other: Picture) -> float:
    """Return the mean absolute difference of red, green and blue: 0 to 255."""
    values = zip(_values(one), _values(other), strict=True)
    return sum(abs(a - b) for a, b in values) / (3 * _SIDE * _SIDE)


def boxes(path: Path) -> list[bytes]:
    """Return the types of the outermost boxes of an MP4 file (ISO/IEC 14496-12, section 4.2)."""
    types = []
    with path.open("rb") as file:
        while head := file.read(8):
            types.append(head[4:])
            file.seek(int.from_bytes(head[:4]) - len(head), 1)
    return types


def picture_times(path: Path) -> list[float]:
    """Return when each picture is due, in seconds since the first."""
    with av.open(path) as container:
        times = [picture.time or 0 for picture in container.decode(video=0)]
    return [time - times[0] for time in times]


def seconds(path: Path, *kinds: str) -> float:
    """Return the time from the first packet of these kinds of track to the end of the last."""
    with av.open(path) as container:
        spans = [
            (
                packet.pts * packet.time_base,
                (packet.pts + (packet.duration or 0)) * packet.time_base,
            )
            for packet in container.demux()
            if packet.stream.type in kinds and packet.pts is not None
        ]
    return float(max(end for _, end in spans) - min(begin for begin, _ in spans))


def _scaled(picture: VideoFrame) -> Picture:
    small = picture.reformat(_SIDE, _SIDE, "rgb24", interpolation=_SCALING)
    plane = small.planes[0]
    rows = (bytes(plane)[row * plane.line_size :][: 3 * _SIDE] for row in range(_SIDE))
    return [list(zip(row[::3], row[1::3], row[2::3], strict=True)) for row in rows]


def _values(picture: Picture) -> chain[int]:
    return chain.from_iterable(chain.from_iterable(picture))
