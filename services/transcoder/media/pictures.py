"""Brings a source's pictures into the size and form of a rendition."""

from collections.abc import Mapping, Sequence
from typing import Final

import av.filter
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from transcoder.media.facts import Facts
from transcoder.media.renditions import Size
from transcoder.media.timeline import PICTURE_TIME_BASE

# The one form that every browser and every telephone's hardware can decode.
PIXEL_FORMAT: Final = "yuv420p"
_TURNS: Final[Mapping[int, Sequence[tuple[str, str]]]] = {
    90: [("transpose", "cclock")],
    -90: [("transpose", "clock")],
    180: [("hflip", ""), ("vflip", "")],
}


class Shaper:
    """Scales pictures to one size and turns them upright."""

    def __init__(self, facts: Facts, size: Size, *, threads: int) -> None:
        self._scaled = size.turned() if facts.is_on_its_side else size
        self._matrix = facts.colour.matrix
        self._scaler = VideoReformatter()
        self._threads = threads
        self._graph = _turning_graph(self._scaled, facts.turn, threads) if facts.turn else None

    def shape(self, picture: VideoFrame) -> VideoFrame:
        """Return the picture in the size wanted, whatever its own is: it may change midway."""
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


def _turning_graph(size: Size, turn: int, threads: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = threads
    source = graph.add_buffer(
        width=size.width,
        height=size.height,
        format=VideoFormat(PIXEL_FORMAT),
        time_base=PICTURE_TIME_BASE,
    )
    turns = [graph.add(name, options) for name, options in _TURNS[turn]]
    graph.link_nodes(source, *turns, graph.add("buffersink")).configure()
    return graph
