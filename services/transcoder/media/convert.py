"""Makes the renditions and the thumbnail of a source, which is decoded once for all of them."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import av
from av.audio.frame import AudioFrame
from av.error import ExternalError
from av.video.frame import VideoFrame

from transcoder.job import Made
from transcoder.media.errors import EndsTooEarly
from transcoder.media.facts import Facts, check_length, examine
from transcoder.media.pictures import Deinterlacer
from transcoder.media.renditions import THUMBNAIL, file_name, plan
from transcoder.media.source import choose_tracks, decoded, open_source
from transcoder.media.thumbnail import Thumbnail
from transcoder.media.timeline import PictureTimeline, SoundTimeline
from transcoder.media.writer import RenditionWriter
from transcoder.sandbox.limits import Limits

_THUMBNAIL_SHARE: Final = 0.1
# What may be missing at the end: headers are not exact, and the last sounds may not be decodable.
_MISSING_SECONDS: Final = 0.5
_MISSING_SHARE: Final = 0.02


def convert(
    source: int, folder: Path, limits: Limits, report: Callable[[float], None]
) -> tuple[Made, ...]:
    """Do the work that `JOB` describes, as `transcoder.job.Convert` says."""
    try:
        return _convert(source, folder, limits, report)
    except ExternalError as error:  # without memory for it, x264 fails in general
        raise MemoryError from error


def _convert(
    descriptor: int, folder: Path, limits: Limits, report: Callable[[float], None]
) -> tuple[Made, ...]:
    facts = examine(descriptor, limits)
    claimed = facts.claimed_seconds
    size_bytes = os.fstat(descriptor).st_size
    planned = plan(facts.upright)
    thumbnail = Thumbnail(folder / file_name(THUMBNAIL), claimed * _THUMBNAIL_SHARE, facts.colour)
    reached = 0.0
    with ExitStack() as stack:
        container = stack.enter_context(open_source(descriptor, limits))
        tracks = choose_tracks(container, limits)
        writers = [
            stack.enter_context(
                RenditionWriter(
                    folder / file_name(rendition.name),
                    rendition,
                    size,
                    facts,
                    with_sound=tracks.audio is not None,
                    threads=limits.threads,
                )
            )
            for rendition, size in planned
        ]
        if container.streams.audio and not tracks.audio:
            print("The sound is left out: no track of it can be decoded.", file=sys.stderr)
        for frame in _placed(decoded(container, tracks, limits), facts, limits):
            reached = max(reached, _end_seconds(frame))
            check_length(reached, limits)
            for writer in writers:
                written = writer.write(frame)
            if isinstance(written, VideoFrame):
                thumbnail.offer(written)  # in the size of the last, which is the smallest
            position = os.lseek(descriptor, 0, os.SEEK_CUR)
            report(reached / claimed if claimed else position / size_bytes)
    if claimed and reached < claimed * (1 - _MISSING_SHARE) - _MISSING_SECONDS:
        raise EndsTooEarly(
            f"The file ends too early, after {reached:.0f} of {claimed:.0f} seconds: "
            "upload it again."
        )
    names = [*(rendition.name for rendition, _ in planned), THUMBNAIL]
    return tuple(_measure(folder / file_name(name), name) for name in names)


def _end_seconds(frame: VideoFrame | AudioFrame) -> float:
    return float(((frame.pts or 0) + frame.duration) * (frame.time_base or 0))


def _placed(
    frames: Iterable[VideoFrame | AudioFrame], facts: Facts, limits: Limits
) -> Iterator[VideoFrame | AudioFrame]:
    deinterlacer = Deinterlacer(limits.threads)
    pictures = PictureTimeline(facts.start_seconds, facts.frame_rate)
    sounds = SoundTimeline(facts.start_seconds)
    for frame in frames:
        if isinstance(frame, VideoFrame):
            for picture in deinterlacer.place(frame):
                yield from pictures.place(picture)
        else:
            yield from sounds.place(frame)
    for picture in deinterlacer.end():
        yield from pictures.place(picture)


def _measure(path: Path, name: str) -> Made:
    with av.open(path) as container:
        video = container.streams.video[0]
        seconds = 0 if name == THUMBNAIL else (container.duration or 0) / av.time_base
        return Made(name, video.width, video.height, seconds)
