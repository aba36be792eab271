"""Brings a source's pictures into the size and form of a rendition."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import av.error
import av.filter
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from transcoder.media.facts import MATRICES, Facts, Orientation, exact
from transcoder.media.renditions import Size
from transcoder.media.timeline import PICTURE_TIME_BASE

# The one form that every browser and every telephone's hardware can decode.
PIXEL_FORMAT: Final = "yuv420p"
# How FFmpeg's `transpose` names the four turns of a transposed picture: by what it mirrors then.
_TRANSPOSE: Final[Mapping[tuple[bool, bool], str]] = {
    (False, False): "cclock_flip",
    (True, False): "clock",
    (False, True): "cclock",
    (True, True): "clock_flip",
}


class Shaper:
    """Scales pictures to one size and turns them upright."""

    def __init__(self, facts: Facts, size: Size, *, threads: int) -> None:
        self._scaled = size.turned() if facts.orientation.is_transposed else size
        self._matrix = facts.colour.matrix
        self._scaler = VideoReformatter()
        self._threads = threads
        turns = _turns(facts.orientation)
        self._graph = filter_graph(self._scaled, turns, threads) if turns else None

    def shape(self, picture: VideoFrame) -> VideoFrame:
        """Return the picture in the size wanted, whatever its own is: it may change midway."""
        # What FFmpeg cannot convert with is ignored, as a player does.
        if picture.colorspace not in MATRICES and not picture.format.is_rgb:
            picture.colorspace = self._matrix
        shaped = self._scaler.reformat(
            picture,
            self._scaled.width,
            self._scaled.height,
            PIXEL_FORMAT,
            interpolation=Interpolation.BICUBIC,
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
            threads=self._threads,
        )
        # Only after the scaling, which gives the filters pictures of a size that never changes.
        if self._graph:
            self._graph.vpush(shaped)
            shaped = self._graph.vpull()
        # Otherwise the encoder would make a keyframe wherever the source has one.
        shaped.pict_type = PictureType.NONE
        return shaped


class Deinterlacer:
    """Makes whole pictures of those that hold two moments, each in every other line.

    bwdif needs the picture after one to make it whole, and so gives it one picture later.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._form: tuple[int, int, str] | None = None
        self._graph: av.filter.Graph | None = None

    def place(self, picture: VideoFrame) -> Iterator[VideoFrame]:
        """Yield the pictures that are whole now; one that is not interlaced stays as it is."""
        form = (picture.width, picture.height, picture.format.name)
        if self._graph and form != self._form:
            yield from self.end()
        if not self._graph and not picture.interlaced_frame:
            yield picture
            return
        if not self._graph:
            self._form = form
            self._graph = filter_graph(
                Size(picture.width, picture.height),
                [("bwdif", "mode=send_frame:deint=interlaced")],
                self._threads,
                pixel_format=picture.format.name,
                time_base=exact(picture.time_base or PICTURE_TIME_BASE),
            )
        self._graph.vpush(picture)
        yield from self._pull()

    def end(self) -> Iterator[VideoFrame]:
        """Yield the last picture."""
        if self._graph:
            self._graph.vpush(None)
            yield from self._pull()
            self._graph = None

    def _pull(self) -> Iterator[VideoFrame]:
        while self._graph:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, av.error.EOFError):
                return
            yield picture


def _turns(orientation: Orientation) -> Sequence[tuple[str, str]]:
    """Return the filters, by name and argument, that turn a stored picture as it is watched."""
    mirrors = (orientation.mirrors_left_right, orientation.mirrors_top_bottom)
    if orientation.is_transposed:
        return [("transpose", _TRANSPOSE[mirrors])]
    return [(name, "") for name, mirror in zip(("hflip", "vflip"), mirrors, strict=True) if mirror]


def filter_graph(
    size: Size,
    filters: Sequence[tuple[str, str]],
    threads: int = 1,
    *,
    pixel_format: str = PIXEL_FORMAT,
    time_base: Fraction = PICTURE_TIME_BASE,
) -> av.filter.Graph:
    """Return a chain of FFmpeg's filters, given by name and argument."""
    graph = av.filter.Graph()
    graph.threads = threads
    source = graph.add_buffer(
        width=size.width,
        height=size.height,
        format=VideoFormat(pixel_format),
        time_base=time_base,
    )
    chain = [graph.add(name, argument) for name, argument in filters]
    graph.link_nodes(source, *chain, graph.add("buffersink")).configure()
    return graph
