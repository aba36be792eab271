"""A source is one file, and cannot make FFmpeg open another file or the network.

Files that name others are refused by their first bytes already (test_awkward_videos.py). What
is claimed here is the second defence: with the options of a source FFmpeg itself refuses, even if
it is told to read the file as a playlist. Each claim has a twin with other options, which works.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import av.error
import pytest
from av.video.frame import VideoFrame

from tests.making_videos import Clip, write_changing_size, write_clip
from transcoder.media.errors import TooManyPixels
from transcoder.media.source import DECODERS, choose_tracks, decoded, open_source, source_options
from transcoder.sandbox.limits import Limits

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


def open_playlist(folder: Path, entry: str, options: Mapping[str, str]) -> int:
    """Open a playlist with FFmpeg; return how many tracks it has found."""
    path = folder / "playlist.mp4"
    path.write_text(PLAYLIST.format(entry))
    with path.open("rb") as file:
        options = {**options, "fd": str(file.fileno())}
        with av.open("fd:", format="hls", options=options) as container:
            return len(container.streams)


def accept_and_close(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    connection.close()


def options_of_a_source(**changes: str) -> dict[str, str]:
    return source_options(0, "mov", Limits()) | changes


def test_another_file_is_not_opened(tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    write_clip(other, Clip())
    assert open_playlist(tmp_path, f"file://{other}", {"protocol_whitelist": "fd,file"}) == 2
    for options in (options_of_a_source(), options_of_a_source(format_whitelist="hls,mov,mp4")):
        with pytest.raises(av.error.FFmpegError):
            open_playlist(tmp_path, f"file://{other}", options)


def test_the_network_is_not_reached(tmp_path: Path, listener: socket.socket) -> None:
    entry = "http://{}:{}/video.ts".format(*listener.getsockname())
    for options in (options_of_a_source(), options_of_a_source(format_whitelist="hls,mov,mp4")):
        with pytest.raises(av.error.FFmpegError):
            open_playlist(tmp_path, entry, options)
        with pytest.raises(BlockingIOError):
            listener.accept()
    listener.settimeout(30)
    with ThreadPoolExecutor() as threads:
        accepted = threads.submit(accept_and_close, listener)
        with pytest.raises(av.error.FFmpegError):  # since the answer is no video
            open_playlist(tmp_path, entry, {"protocol_whitelist": "fd,http,tcp"})
        accepted.result()


def test_another_format_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    write_clip(path, Clip(container="mp3", codec=None, sounds=("libmp3lame",)))
    with path.open("rb") as file:
        descriptor = str(file.fileno())
        av.open("fd:", format="mp3", options={"fd": descriptor}).close()
        file.seek(0)
        with pytest.raises(av.error.FFmpegError):
            av.open("fd:", format="mp3", options=options_of_a_source(fd=descriptor))


def test_pictures_that_grow_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "call.webm"
    write_changing_size(path, [(160, 90), (320, 180)])
    limits = Limits(max_pixels=320 * 180)
    assert widths(path, limits) == [160] * 25 + [320] * 25
    with pytest.raises(TooManyPixels, match="320 x 180"):
        widths(path, replace(limits, max_pixels=320 * 179))


def test_pictures_that_grow_far_beyond_the_limit_are_not_even_decoded(tmp_path: Path) -> None:
    path = tmp_path / "call.webm"
    write_changing_size(path, [(160, 90), (640, 360)])
    assert widths(path, Limits(max_pixels=160 * 90)) == [160] * 25


def widths(path: Path, limits: Limits) -> list[int]:
    """Return the width of every picture that is decoded."""
    with path.open("rb") as file, open_source(file.fileno(), limits) as container:
        frames = decoded(container, choose_tracks(container, limits), limits)
        return [frame.width for frame in frames if isinstance(frame, VideoFrame)]


def test_every_decoder_that_is_allowed_exists() -> None:
    for name in DECODERS:
        assert av.Codec(name, "r").name == name


def test_a_path_is_no_source(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_clip(path, Clip())
    with pytest.raises(av.error.FFmpegError):
        av.open(path, format="mov", options=options_of_a_source())
    descriptor = os.open(path, os.O_RDONLY)
    av.open("fd:", format="mov", options=options_of_a_source(fd=str(descriptor))).close()
    os.close(descriptor)
