"""How long the pictures of a rendition are shown, whatever the order they are decoded in."""

from collections.abc import Sequence

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


class TrackLength:
    """Gives the last packet the duration that makes its track as long as the pictures are shown.

    An MP4 track is as long as its packets together, each lasting until the next one is decoded.
    When pictures have uneven times and are not decoded in the order they are shown, that sum is
    not the time from the first picture to the end of the last.
    """

    def __init__(self) -> None:
        self._shown_from: int | None = None
        self._shown_until = 0
        self._decoded_from: int | None = None

    def show(self, picture: VideoFrame) -> None:
        """Take note of a picture before it is encoded."""
        begin = picture.pts or 0
        self._shown_from = begin if self._shown_from is None else self._shown_from
        self._shown_until = begin + picture.duration

    def decode(self, packets: "Sequence[Packet[VideoStream]]") -> None:
        """Take note of what the encoder gave."""
        if packets and self._decoded_from is None:
            self._decoded_from = packets[0].dts

    def end(self, last: "Packet[VideoStream]") -> None:
        """Set the duration of the last packet, which is in the time base of the pictures."""
        shown = self._shown_until - (self._shown_from or 0)
        decoded = (last.dts or 0) - (self._decoded_from or 0)
        last.duration = max(1, shown - decoded)
