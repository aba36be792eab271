"""Writes one rendition: encodes its pictures and its sound, and muxes them into an MP4 file."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame

from transcoder.media.facts import Facts
from transcoder.media.pictures import PIXEL_FORMAT, Shaper
from transcoder.media.renditions import Rendition, Size
from transcoder.media.timeline import LAYOUT, PICTURE_TIME_BASE, SAMPLES_PER_SECOND
from transcoder.media.track_length import TrackLength

_KEYFRAME_SECONDS: Final = 4  # what a player can seek to; x264 would take 250 pictures
# A third of the time of x264's default, for files that are somewhat larger.
_PRESET: Final = "veryfast"


class RenditionWriter:
    """A context manager; the file is whole when it has been left without an exception."""

    def __init__(
        self,
        path: Path,
        rendition: Rendition,
        size: Size,
        facts: Facts,
        *,
        with_sound: bool,
        threads: int,
    ) -> None:
        self._shaper = Shaper(facts, size, threads=threads)
        # With its index in front (fast start) a file plays while it loads.
        self._container = av.open(path, "w", format="mp4", options={"movflags": "faststart"})
        self._video = self._container.add_stream(
            "libx264",
            rate=facts.frame_rate,
            options={"preset": _PRESET, "crf": str(rendition.crf)},
            width=size.width,
            height=size.height,
            pix_fmt=PIXEL_FORMAT,
            time_base=PICTURE_TIME_BASE,
            gop_size=round(_KEYFRAME_SECONDS * facts.frame_rate),
            thread_count=threads,
            thread_type="FRAME",  # PyAV's default, slices, takes half as long again
            colorspace=facts.colour.matrix,
            color_primaries=facts.colour.primaries,
            color_trc=facts.colour.transfer,
            color_range=1,
        )
        self._audio: AudioStream | None = None
        if with_sound:
            self._audio = self._container.add_stream(
                "aac",
                rate=SAMPLES_PER_SECOND,
                layout=LAYOUT,
                bit_rate=rendition.audio_bit_rate,
            )
        self._length = TrackLength()

    def write(self, frame: VideoFrame | AudioFrame) -> VideoFrame | AudioFrame:
        """Encode a picture or a piece of sound; return what was encoded."""
        if isinstance(frame, VideoFrame):
            frame = self._shaper.shape(frame)
            self._length.show(frame)
            packets = self._video.encode(frame)
            self._length.decode(packets)
            self._container.mux(packets)
        elif self._audio:
            self._container.mux(self._audio.encode(frame))
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._container:
            if exception is None:
                self._finish()

    def _finish(self) -> None:
        packets = self._video.encode(None)
        self._length.decode(packets)
        self._length.end(packets[-1])
        self._container.mux(packets)
        if self._audio:
            self._container.mux(self._audio.encode(None))
