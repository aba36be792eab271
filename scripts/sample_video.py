"""Makes a real video on the spot: a moving test picture and a tone, as an MP4 file."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import av
import av.error
import av.filter
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

_FRAMES_PER_SECOND: Final = 25
_SAMPLES_PER_SECOND: Final = 48_000


def make_sample_video(path: Path, *, seconds: int = 3, width: int = 640, height: int = 360) -> None:
    """Write H.264 and AAC to `path`, with the index in front so that it plays while it loads."""
    with av.open(path, "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=_FRAMES_PER_SECOND)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=_SAMPLES_PER_SECOND, layout="mono")
        picture = f"size={width}x{height}:rate={_FRAMES_PER_SECOND}:duration={seconds}"
        for frame in _frames(("testsrc2", picture), ("format", "yuv420p"), ("buffersink", "")):
            container.mux(video.encode(cast("VideoFrame", frame)))
        container.mux(video.encode())
        tone = f"frequency=440:sample_rate={_SAMPLES_PER_SECOND}:duration={seconds}"
        samples = "sample_fmts=fltp:channel_layouts=mono"
        for frame in _frames(("sine", tone), ("aformat", samples), ("abuffersink", "")):
            container.mux(audio.encode(cast("AudioFrame", frame)))
        container.mux(audio.encode())


def _frames(*chain: tuple[str, str]) -> Iterator[VideoFrame | AudioFrame]:
    """Yield what comes out of a chain of FFmpeg's filters, given as (name, options)."""
    graph = av.filter.Graph()
    filters = [graph.add(name, options) for name, options in chain]
    graph.link_nodes(*filters).configure()
    while True:
        try:
            yield graph.pull()
        except av.error.EOFError:
            return


def main(arguments: list[str] | None = None) -> int:
    """Make the file that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/sample_video", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write it, such as video.mp4")
    parser.add_argument("--seconds", type=int, default=3, choices=range(1, 3601), metavar="1..3600")
    options = parser.parse_args(arguments)
    try:
        make_sample_video(options.file, seconds=options.seconds)
    except OSError as error:
        print(f"{options.file} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{options.file}: {options.seconds} s of a test picture and a tone, H.264 and AAC")
    return 0


if __name__ == "__main__":
    sys.exit(main())
