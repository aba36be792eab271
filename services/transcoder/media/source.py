"""Opens what was uploaded, and finds out what it is."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from transcoder.media.errors import (
    EndsTooEarly,
    NoPictures,
    NotAVideo,
    TooManyPixels,
    UnsupportedCodec,
)
from transcoder.sandbox.limits import Limits

# MP4 and MOV are one family, and so are MKV and WebM. FFmpeg's own guess is not asked for: it knows
# hundreds of formats, among them playlists that name other files and addresses to be opened.
_MATROSKA: Final = b"\x1a\x45\xdf\xa3"  # RFC 8794, section 11.2.1
_QUICKTIME: Final = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}  # ISO/IEC 14496-12
_FORMATS: Final = {"mov": "mov,mp4,m4a,3gp,3g2,mj2", "matroska": "matroska,webm"}
# Of the decoders too, only those are open to strangers that videos are made with.
DECODERS: Final = (
    *("h264", "hevc", "vp8", "vp9", "libdav1d", "mpeg4", "mpeg2video", "mjpeg", "prores"),
    *("aac", "mp3float", "mp2", "opus", "vorbis", "flac", "alac", "ac3", "eac3"),
    *("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
    *("pcm_f32le", "pcm_f32be", "pcm_u8", "pcm_s8", "pcm_alaw", "pcm_mulaw"),
)
# Without memory no thread can be started either (EAGAIN).
_NO_MEMORY: Final = (MemoryError, BlockingIOError)
_ROOM_FOR_BLOCKS: Final = 2
# How a player understands so many channels of which the file does not say what they are.
_LAYOUTS: Final[Mapping[int, str]] = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "4.0",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
    10: "5.1.4",
    12: "7.1.4",
    16: "hexadecagonal",
    24: "22.2",
}


@dataclass(frozen=True, slots=True)
class Tracks:
    """What of a source is converted."""

    video: VideoStream
    audio: AudioStream | None

    def __iter__(self) -> Iterator[VideoStream | AudioStream]:
        yield self.video
        if self.audio:
            yield self.audio


@contextmanager
def open_source(descriptor: int, limits: Limits) -> Iterator[InputContainer]:
    """Open the file from its beginning; FFmpeg can open no other. Raises `MediaError`."""
    demuxer = _demuxer(os.pread(descriptor, 8, 0))
    os.lseek(descriptor, 0, os.SEEK_SET)
    with _damage_reported():
        container = av.open(
            "fd:", format=demuxer, options=source_options(descriptor, demuxer, limits)
        )
    with container:
        yield container


def source_options(descriptor: int, demuxer: str, limits: Limits) -> dict[str, str]:
    """Return what bounds FFmpeg to this one file, to these formats and to these decoders."""
    return {
        "fd": str(descriptor),
        "protocol_whitelist": "fd",
        "format_whitelist": _FORMATS[demuxer],
        **decoder_options(limits),
    }


def decoder_options(limits: Limits) -> dict[str, str]:
    """Return what bounds a decoder: a header may say one size, and the pictures another.

    Decoders count in whole blocks, 1088 lines for 1080, and so are given more than is allowed.
    """
    max_pixels = _ROOM_FOR_BLOCKS * limits.max_pixels
    return {"codec_whitelist": ",".join(DECODERS), "max_pixels": str(max_pixels)}


def choose_tracks(container: InputContainer, limits: Limits) -> Tracks:
    """Return the tracks a player would choose, ready to decode. Raises `MediaError`.

    The other tracks do not matter: whatever they hold, they refuse no video.
    """
    video = container.streams.best("video")
    # The cover of an album is a video track of a single picture.
    if not isinstance(video, VideoStream) or Disposition.attached_pic in video.disposition:
        raise NoPictures
    if _codec_of(video) not in DECODERS:
        raise UnsupportedCodec(
            f"The video track is in {_codec_of(video)}, which is not supported: "
            "convert it to H.264 and AAC."
        )
    _check_size(video.width, video.height, limits)
    tracks = Tracks(video, _best_sound(container))
    for track in tracks:
        track.codec_context.options = decoder_options(limits)
        track.codec_context.thread_count = limits.threads
        track.codec_context.thread_type = "AUTO"
    return tracks


def _best_sound(container: InputContainer) -> AudioStream | None:
    """Return FFmpeg's choice, or in its place the first track that can be decoded."""
    best = container.streams.best("audio")
    for track in sorted(container.streams.audio, key=lambda it: it is not best):
        if _codec_of(track) in DECODERS and _has_plain_layout(track):
            return track
    return None


def _has_plain_layout(track: AudioStream) -> bool:
    """Return whether we know what its channels are, after having said so if the file does not.

    A layout that a file has made up points to a list. PyAV's object for it shares the list with
    the decoder, or with the frame, and both free it: the heap is corrupted. That is a bug of PyAV
    18, whose `get_audio_layout` does not call av_channel_layout_copy. So the decoder gets another
    layout before there is any frame, and the list is freed once, with `layout`.
    """
    layout = track.codec_context.layout
    if "channels" not in layout.name and "ambisonic" not in layout.name:
        return True
    track.codec_context.layout = _LAYOUTS.get(layout.nb_channels, "mono")
    return layout.nb_channels in _LAYOUTS


def _codec_of(track: Stream) -> str:
    # A track that FFmpeg knows no decoder for has no context, whatever the annotation says.
    return track.codec_context.codec.name if track.codec_context else "an unknown codec"


def decoded(
    container: InputContainer, tracks: Tracks, limits: Limits
) -> Iterator[VideoFrame | AudioFrame]:
    """Yield the pictures and sounds. What is damaged is left out, as a player would do.

    Raises `EndsTooEarly` if the container breaks off, `TooManyPixels` if the pictures grow.
    """
    with _damage_reported():
        for packet in container.demux(*tracks):
            try:
                frames = packet.decode()
            except _NO_MEMORY:
                raise
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    _check_size(frame.width, frame.height, limits)
                if isinstance(frame, VideoFrame | AudioFrame):
                    yield frame


@contextmanager
def _damage_reported() -> Iterator[None]:
    try:
        yield
    except _NO_MEMORY:
        raise
    except av.error.FFmpegError as error:
        raise EndsTooEarly from error


def _check_size(width: int, height: int, limits: Limits) -> None:
    pixels = width * height
    if pixels > limits.max_pixels:
        raise TooManyPixels(
            f"The video is {width} x {height}, or {pixels / 1e6:.1f} million pixels; "
            f"{limits.max_pixels / 1e6:.1f} million are allowed: upload a smaller version."
        )


def _demuxer(head: bytes) -> str:
    if not head:
        raise NotAVideo("The file is empty: upload it again.")
    if head.startswith(_MATROSKA):
        return "matroska"
    if head[4:8] in _QUICKTIME:
        return "mov"
    raise NotAVideo
