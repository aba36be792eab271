"""When each picture and each sound is due: as in the source, but from zero and always forward."""

from fractions import Fraction
from typing import Final

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.video.frame import VideoFrame

SAMPLES_PER_SECOND: Final = 48_000
LAYOUT: Final = "stereo"
PICTURE_TIME_BASE: Final = Fraction(1, 90_000)  # a whole number of ticks at all usual frame rates
_SOUND_TIME_BASE: Final = Fraction(1, SAMPLES_PER_SECOND)


class PictureTimeline:
    """Gives pictures their time, be their distance constant or not."""

    def __init__(self, start_seconds: Fraction, frame_rate: Fraction) -> None:
        self._start_seconds = start_seconds
        self._usual_duration = round(1 / frame_rate / PICTURE_TIME_BASE)
        self._last = -1

    def place(self, picture: VideoFrame) -> list[VideoFrame]:
        """Return the picture with its time, or nothing if it is not after the one before."""
        stamp = picture.pts if picture.pts is not None else picture.dts
        if stamp is None or not picture.time_base:
            return []
        ticks = round((stamp * picture.time_base - self._start_seconds) / PICTURE_TIME_BASE)
        if ticks <= self._last:
            return []
        duration = round(picture.duration * picture.time_base / PICTURE_TIME_BASE)
        picture.duration = duration or self._usual_duration
        picture.pts, picture.time_base = ticks, PICTURE_TIME_BASE
        self._last = ticks
        return [picture]


class SoundTimeline:
    """Brings sound into one form, since its own may change midway, and gives it its time."""

    def __init__(self, start_seconds: Fraction) -> None:
        self._start_seconds = start_seconds
        self._end = 0
        self._form: tuple[str, str, int] | None = None
        self._resampler = _resampler()

    def place(self, sound: AudioFrame) -> list[AudioFrame]:
        """Return what can be encoded after this piece of sound."""
        form = (sound.format.name, sound.layout.name, sound.sample_rate)
        if form != self._form:
            self._form, self._resampler = form, _resampler()
        placed = self._resampler.resample(sound)
        for piece in placed:
            due = (piece.pts or 0) * (piece.time_base or 0) - self._start_seconds
            # Overlaps would let time run backwards, which no container can hold.
            piece.pts = max(self._end, round(due * SAMPLES_PER_SECOND))
            piece.time_base = _SOUND_TIME_BASE
            piece.duration = piece.samples
            self._end = piece.pts + piece.duration
        return placed


def _resampler() -> AudioResampler:
    return AudioResampler(format="fltp", layout=LAYOUT, rate=SAMPLES_PER_SECOND)
