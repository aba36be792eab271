"""The still picture that stands for a video."""

from pathlib import Path

from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace


class Thumbnail:
    """A JPEG file of the first picture that is offered, until there is a better one.

    The first picture of many videos is black, so the one at `at_seconds` takes its place.
    """

    def __init__(self, path: Path, at_seconds: float) -> None:
        self._path = path
        self._moments = [at_seconds, 0.0]

    def offer(self, picture: VideoFrame) -> None:
        """Save the picture if it is the one at the next moment."""
        if self._moments and (picture.time or 0) >= self._moments[-1]:
            self._moments.pop()
            # The one meaning that the numbers in a JPEG file have: ITU-T T.871, section 7.
            jpeg = picture.reformat(format="yuvj420p", dst_colorspace=Colorspace.ITU601)
            jpeg.save(self._path)
