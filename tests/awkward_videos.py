"""What people upload, and what is to become of it. Made on the spot; nothing of it is stored.

    PYTHONPATH=services:. python tests/awkward_videos.py FOLDER

writes the files to a folder, and says what to expect of each.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final

from tests import spoiling_videos as spoiling
from tests.making_videos import FAST_VP8, Clip, write_changing_size, write_clip
from transcoder.errors import MediaError
from transcoder.media import errors

Sizes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Awkward:
    """A file, and what is expected of it: renditions, or an error of which these are message."""

    make: Callable[[Path], None]
    renditions: Sizes = field(default_factory=dict)
    # How the source is turned to be upright, in degrees, counterclockwise.
    turn: int = 0
    error: type[MediaError] | None = None
    message: str = ""


def _completes(clip: Clip, **renditions: tuple[int, int]) -> Awkward:
    sizes = {name.strip("_"): size for name, size in renditions.items()}
    return Awkward(
        make=partial(write_clip, clip=clip),
        renditions=sizes or {"360p": clip.size},
        turn=clip.rotation,
    )


def _fails(
    source: Clip | bytes,
    error: type[MediaError],
    message: str,
    spoil: Callable[[bytes], bytes] = bytes,
) -> Awkward:
    def make(path: Path) -> None:
        if isinstance(source, Clip):
            write_clip(path, source)
        content = path.read_bytes() if isinstance(source, Clip) else source
        path.write_bytes(spoil(content))

    return Awkward(make=make, error=error, message=message)


_HOUR: Final = 3600
_CLIP: Final = Clip()
_SILENT: Final = Clip(sounds=())
_LONG: Final = Clip(times=tuple(n / 25 for n in range(100)), sound_lasts=4)
_MKV: Final = Clip(container="matroska")
_WEBM: Final = Clip(container="webm", codec="libvpx", codec_options=FAST_VP8, sounds=("libopus",))
_THREE: Final = (0, 0.04, 0.08)
_FRAGMENTS: Final = {"movflags": "frag_keyframe+empty_moov"}
_X265: Final = {"preset": "ultrafast", "x265-params": "log-level=none"}

COMPLETED: Final[Mapping[str, Awkward]] = {
    "plain.mp4": _completes(_CLIP),
    "silent.mp4": _completes(_SILENT),
    "fragments.mp4": _completes(replace(_CLIP, container_options=_FRAGMENTS)),
    "camera.mov": _completes(Clip(container="mov", sounds=("pcm_s16le",))),
    "old-camera.mov": _completes(
        Clip(container="mov", codec="mjpeg", codec_options={}, pixel_format="yuvj420p")
    ),
    "studio.mov": _completes(
        Clip(container="mov", codec="prores_ks", codec_options={}, pixel_format="yuv422p10le")
    ),
    "many-tracks.mkv": _completes(replace(_MKV, sounds=("flac",) * 40)),
    "archive.mkv": _completes(replace(_MKV, sounds=("flac",))),
    "vp8.webm": _completes(_WEBM),
    "vp9.webm": _completes(replace(_WEBM, codec="libvpx-vp9")),
    "recorded-by-a-browser.webm": _completes(replace(_WEBM, container_options={"live": "1"})),
    "video-call.webm": Awkward(
        make=partial(write_changing_size, sizes=[(320, 180), (160, 90)]),
        renditions={"360p": (320, 180)},
    ),
    "hd.mp4": _completes(
        replace(_SILENT, size=(1920, 1080), times=_THREE),
        _1080p=(1920, 1080),
        _720p=(1280, 720),
        _360p=(640, 360),
    ),
    "cinema.mp4": _completes(
        replace(_SILENT, size=(1280, 534), times=_THREE), _720p=(1280, 534), _360p=(640, 266)
    ),
    "portrait.mp4": _completes(replace(_CLIP, size=(180, 320))),
    "telephone.mp4": _completes(
        replace(_SILENT, size=(1280, 720), rotation=-90, times=_THREE),
        _720p=(720, 1280),
        _360p=(360, 640),
    ),
    "turned-left.mov": _completes(Clip(container="mov", rotation=90), _360p=(180, 320)),
    "upside-down.mp4": _completes(replace(_CLIP, rotation=180)),
    "uneven-times.mkv": _completes(replace(_MKV, times=(0, 0.1, 0.15, 0.5, 0.51, 1.2))),
    "slides.mp4": _completes(replace(_SILENT, times=(0, _HOUR / 2, _HOUR))),
    "begins-late.mkv": _completes(
        replace(_MKV, times=tuple(9 + n / 25 for n in range(25)), sound_begins=9.5)
    ),
    "odd-size.mp4": _completes(
        replace(_SILENT, size=(321, 181), pixel_format="yuv444p"), _360p=(320, 180)
    ),
    "wide-pixels.mp4": _completes(
        replace(_SILENT, size=(180, 144), pixel_aspect=Fraction(64, 45)), _360p=(256, 144)
    ),
    "ten-bit.mp4": _completes(
        replace(_CLIP, codec="libx265", codec_options=_X265, pixel_format="yuv420p10le")
    ),
    "screen.webm": _completes(replace(_WEBM, codec="libvpx-vp9", pixel_format="gbrp", sounds=())),
    "smallest.mp4": _completes(replace(_SILENT, size=(2, 2), codec="mpeg4", codec_options={})),
    "with-cover.mp4": _completes(replace(_CLIP, has_cover=True)),
    "scratched.mp4": Awkward(
        make=_fails(_LONG, MediaError, "", spoiling.with_errors).make,
        renditions={"360p": (320, 180)},
    ),
}

FAILED: Final[Mapping[str, Awkward]] = {
    "empty.mp4": _fails(b"", errors.NotAVideo, "empty"),
    "text.mp4": _fails(b"Dear diary,\n" * 100, errors.NotAVideo, "not a video"),
    "playlist.mp4": _fails(
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        errors.NotAVideo,
        "not a video",
    ),
    "list-of-files.mp4": _fails(
        b"ffconcat version 1.0\nfile /etc/passwd\n", errors.NotAVideo, "not a video"
    ),
    "music.mp3": _fails(
        Clip(container="mp3", codec=None, sounds=("libmp3lame",)), errors.NotAVideo, "not a video"
    ),
    "photograph.jpg": _fails(
        Clip(
            container="image2",
            container_options={"update": "1"},
            codec="mjpeg",
            codec_options={},
            pixel_format="yuvj420p",
            times=(0,),
            sounds=(),
        ),
        errors.NotAVideo,
        "not a video",
    ),
    "sound.mp4": _fails(replace(_CLIP, codec=None), errors.NoPictures, "no moving pictures"),
    "sound.mkv": _fails(replace(_MKV, codec=None), errors.NoPictures, "no moving pictures"),
    "album.mp4": _fails(
        replace(_CLIP, codec=None, has_cover=True), errors.NoPictures, "no moving pictures"
    ),
    "no-pictures.mp4": _fails(
        replace(_SILENT, container_options=_FRAGMENTS),
        errors.Undecodable,
        "there is none",
        spoiling.headers_only,
    ),
    "no-pictures.mkv": _fails(_MKV, errors.EndsTooEarly, "ends too early", spoiling.headers_only),
    "rubbish.mp4": _fails(
        b"\0\0\0\x18ftypisom" + b"rubbish!" * 100, errors.EndsTooEarly, "ends too early"
    ),
    "cut-off.mp4": _fails(_LONG, errors.EndsTooEarly, "ends too early", spoiling.half),
    "cut-off-with-index.mp4": _fails(
        replace(_LONG, container_options={"movflags": "faststart"}),
        errors.EndsTooEarly,
        "of 4 seconds",
        spoiling.half,
    ),
    "cut-off.mkv": _fails(
        replace(_LONG, container="matroska"), errors.EndsTooEarly, "of 4 seconds", spoiling.half
    ),
    "claims-three-hours.mkv": _fails(
        _MKV, errors.EndsTooEarly, "after 1 of 10800 seconds", partial(spoiling.claiming, hours=3)
    ),
    "claims-thousand-hours.mkv": _fails(
        _MKV, errors.TooLong, "4:00:00", partial(spoiling.claiming, hours=1000)
    ),
    "hundred-hours.mkv": _fails(
        replace(_MKV, times=(0, 100 * _HOUR), sounds=()), errors.TooLong, "4:00:00"
    ),
    "hundred-hours-unclaimed.mkv": _fails(
        replace(_MKV, times=(0, 100 * _HOUR), sounds=()),
        errors.TooLong,
        "4:00:00",
        partial(spoiling.claiming, hours=1),
    ),
    "8k.mp4": _fails(
        replace(_SILENT, size=(7680, 4320), times=(0,)), errors.TooManyPixels, "33.2 million"
    ),
    "bomb.webm": _fails(
        replace(_WEBM, times=(0,), sounds=()),
        errors.Undecodable,
        "larger than allowed",
        spoiling.with_huge_picture,
    ),
    "strange-codec.mkv": _fails(
        replace(_MKV, codec="ffv1", codec_options={}), errors.UnsupportedCodec, "ffv1"
    ),
}

AWKWARD_VIDEOS: Final = {**COMPLETED, **FAILED}


def main() -> None:
    """Write them all, and say what to expect."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, video in AWKWARD_VIDEOS.items():
        video.make(folder / name)
        expected = (
            f"failed, {video.message!r}"
            if video.error
            else "completed, "
            + ", ".join(
                f"{rendition} {width}x{height}"
                for rendition, (width, height) in video.renditions.items()
            )
        )
        print(f"{name:30} {expected}")


if __name__ == "__main__":
    main()
