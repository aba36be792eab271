"""Makes small videos of every kind: a moving test picture, and a tone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import av
import av.error
import av.filter
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

FRAMES_PER_SECOND = 25
FAST_VP8: Mapping[str, str] = {"deadline": "realtime", "cpu-used": "8"}
_SAMPLES_PER_SECOND = 48_000
_MILLISECOND = Fraction(1, 1000)
_INTERLACED = Flags.interlaced_dct | Flags.interlaced_me


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What a video is like; times are in seconds."""

    container: str = "mp4"
    container_options: Mapping[str, str] = field(default_factory=dict)
    # None for a clip that has only sound.
    codec: str | None = "libx264"
    codec_options: Mapping[str, str] = field(default_factory=lambda: {"preset": "ultrafast"})
    size: tuple[int, int] = (320, 180)
    pixel_format: str = "yuv420p"
    pixel_aspect: Fraction = Fraction(1)
    # How a player is to turn it, in degrees, counterclockwise.
    rotation: int = 0
    # When each picture is due.
    times: Sequence[float] = tuple(n / FRAMES_PER_SECOND for n in range(FRAMES_PER_SECOND))
    # The codec of each track of sound.
    sounds: Sequence[str] = ("aac",)
    sound_begins: float = 0
    sound_lasts: float = 1
    # Of the tracks after the first, if they last longer or shorter.
    other_sounds_last: float | None = None
    sound_layout: str | None = None
    # Begin and end of each subtitle.
    subtitles: Sequence[tuple[float, float]] = ()
    # How numbers become colours: code points of ITU-T H.273 for primaries, transfer, matrix.
    colour: tuple[int, int, int] = (2, 2, 2)
    # Two moments in every picture, each in every other line.
    is_interlaced: bool = False
    # The still picture that comes with music.
    has_cover: bool = False


def write_clip(path: Path, clip: Clip) -> None:
    """Write the clip to a file."""
    options = dict(clip.container_options)
    with av.open(path, "w", format=clip.container, options=options) as container:
        # A container wants to know all of its tracks before the first packet.
        packets = chain(
            _cover(container) if clip.has_cover else (),
            _video(container, clip) if clip.codec else (),
            *[
                _sound(container, codec, clip, is_first=number == 0)
                for number, codec in enumerate(clip.sounds)
            ],
            _subtitles(container, clip) if clip.subtitles else (),
        )
        for packet in list(packets):
            container.mux(packet)


def write_changing_size(path: Path, sizes: Sequence[tuple[int, int]]) -> None:
    """Write a WebM file of one second for each size, as a video call makes it."""
    with av.open(path, "w", format="webm") as container:
        stream = container.add_mux_stream("libvpx", width=sizes[0][0], height=sizes[0][1])
        stream.time_base = Fraction(1, FRAMES_PER_SECOND)
        for second, size in enumerate(sizes):
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height = size
            encoder.pix_fmt = "yuv420p"
            encoder.time_base = Fraction(1, FRAMES_PER_SECOND)
            encoder.options = dict(FAST_VP8)
            for n, picture in enumerate(islice(pictures(size), FRAMES_PER_SECOND)):
                picture.pts = second * FRAMES_PER_SECOND + n
                for packet in encoder.encode(picture):
                    packet.stream = stream
                    container.mux(packet)


def pictures(
    size: tuple[int, int], pixel_format: str = "yuv420p", *, is_interlaced: bool = False
) -> Iterator[VideoFrame]:
    """Yield a moving test picture, without end. It is unlike itself when turned or mirrored."""
    rate = 2 * FRAMES_PER_SECOND if is_interlaced else FRAMES_PER_SECOND
    # The odd lines of one picture, and the even ones of the next.
    lines = ("separatefields", ""), ("select", "'not(mod(n,4))+not(mod(n-3,4))'"), ("weave", "")
    for frame in _filtered(
        ("testsrc2", f"size={size[0]}x{size[1]}:rate={rate}"),
        ("format", pixel_format),
        *(lines if is_interlaced else ()),
        ("buffersink", ""),
    ):
        yield cast("VideoFrame", frame)


def tone(seconds: float) -> Iterator[AudioFrame]:
    """Yield a sine wave."""
    source = f"frequency=440:sample_rate={_SAMPLES_PER_SECOND}:duration={seconds}"
    for frame in _filtered(("sine", source), ("abuffersink", "")):
        yield cast("AudioFrame", frame)


def _video(container: OutputContainer, clip: Clip) -> Iterator[Any]:
    stream = container.add_stream(
        str(clip.codec), rate=FRAMES_PER_SECOND, options=dict(clip.codec_options)
    )
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = clip.size
    stream.pix_fmt = clip.pixel_format
    stream.codec_context.time_base = _MILLISECOND
    stream.codec_context.sample_aspect_ratio = clip.pixel_aspect
    encoder = stream.codec_context
    encoder.color_primaries, encoder.color_trc, encoder.colorspace = clip.colour
    if clip.is_interlaced:
        encoder.flags |= _INTERLACED
    if clip.rotation:
        stream.set_display_rotation(clip.rotation)

    def packets() -> Iterator[Any]:
        moving = pictures(clip.size, clip.pixel_format, is_interlaced=clip.is_interlaced)
        for time, picture in zip(clip.times, moving, strict=False):
            picture.pts, picture.time_base = round(time / _MILLISECOND), _MILLISECOND
            yield stream.encode(picture)
        yield stream.encode()

    return packets()


def _sound(container: OutputContainer, codec: str, clip: Clip, *, is_first: bool) -> Iterator[Any]:
    # G.711 is the sound of telephones.
    rate = 8000 if codec in {"pcm_alaw", "pcm_mulaw"} else _SAMPLES_PER_SECOND
    stream = container.add_stream(codec, rate=rate)
    assert isinstance(stream, AudioStream)
    if clip.sound_layout:
        stream.codec_context.layout = clip.sound_layout
    lasts = clip.sound_lasts if is_first else clip.other_sounds_last or clip.sound_lasts

    def packets() -> Iterator[Any]:
        for sound in tone(lasts):
            sound.pts = (sound.pts or 0) + round(clip.sound_begins * _SAMPLES_PER_SECOND)
            yield stream.encode(sound)
        yield stream.encode()

    return packets()


def _subtitles(container: OutputContainer, clip: Clip) -> Iterator[Any]:
    stream = container.add_mux_stream("subrip")
    for begin, end in clip.subtitles:
        packet = Packet(b"words")
        packet.stream, packet.time_base = stream, _MILLISECOND
        packet.pts = packet.dts = round(begin / _MILLISECOND)
        packet.duration = round((end - begin) / _MILLISECOND)
        yield packet


def _cover(container: OutputContainer) -> Iterator[Any]:
    stream = container.add_stream("mjpeg", rate=1)
    assert isinstance(stream, VideoStream)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return (stream.encode(picture) for picture in (next(pictures((64, 64), "yuvj420p")), None))


def _filtered(*chain: tuple[str, str]) -> Iterator[VideoFrame | AudioFrame]:
    """Yield what comes out of a chain of FFmpeg's filters, given as (name, options)."""
    graph = av.filter.Graph()
    graph.link_nodes(*(graph.add(name, options) for name, options in chain)).configure()
    while True:
        try:
            yield graph.pull()
        except av.error.EOFError:
            return
