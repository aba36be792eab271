"""When each picture and each sound is due."""

from fractions import Fraction

from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from transcoder.media.timeline import PictureTimeline, SoundTimeline

MILLISECOND = Fraction(1, 1000)


def place_pictures(*stamps: int | None, start: Fraction = Fraction(0)) -> list[float | None]:
    timeline = PictureTimeline(start, Fraction(25))
    placed = []
    for stamp in stamps:
        picture = VideoFrame(2, 2)
        picture.pts, picture.time_base = stamp, MILLISECOND
        placed += timeline.place(picture)
    return [picture.time for picture in placed]


def place_sounds(*sounds: AudioFrame, start: Fraction = Fraction(0)) -> list[tuple[float, int]]:
    timeline = SoundTimeline(start)
    placed = [piece for sound in sounds for piece in timeline.place(sound)]
    assert {(piece.format.name, piece.layout.name, piece.rate) for piece in placed} == {
        ("fltp", "stereo", 48_000)
    }
    return [(float(piece.time or 0), piece.samples) for piece in placed]


def sound(stamp: int, layout: str = "stereo", rate: int = 48_000) -> AudioFrame:
    """Return a tenth of a second of sound."""
    frame = AudioFrame(format="fltp", layout=layout, samples=rate // 10)
    frame.sample_rate, frame.pts, frame.time_base = rate, stamp, MILLISECOND
    return frame


def test_pictures_keep_their_uneven_distances() -> None:
    assert place_pictures(0, 10, 500, 501) == [0, 0.01, 0.5, 0.501]


def test_the_first_picture_is_due_at_the_start() -> None:
    assert place_pictures(5000, 5040, start=Fraction(5)) == [0, 0.04]


def test_pictures_that_go_back_or_have_no_time_or_come_before_the_start_are_left_out() -> None:
    assert place_pictures(960, 1000, 1040, 1040, 1000, None, 1080, start=Fraction(1)) == [
        0,
        0.04,
        0.08,
    ]


def test_a_picture_lasts_as_long_as_is_usual_if_nothing_is_said() -> None:
    picture = VideoFrame(2, 2)
    picture.pts, picture.time_base = 0, MILLISECOND
    [placed] = PictureTimeline(Fraction(0), Fraction(25)).place(picture)
    assert placed.time_base
    assert placed.duration * placed.time_base == Fraction(1, 25)


def test_sounds_keep_their_times_and_gaps() -> None:
    assert place_sounds(sound(1000), sound(1100), sound(1500), start=Fraction(1)) == [
        (0, 4800),
        (0.1, 4800),
        (0.5, 4800),
    ]


def test_sounds_that_overlap_are_put_one_after_the_other() -> None:
    assert place_sounds(sound(0), sound(50), sound(0)) == [(0, 4800), (0.1, 4800), (0.2, 4800)]


def test_sound_may_change_its_form_midway() -> None:
    placed = place_sounds(sound(0), sound(100, "mono"), sound(200, "5.1"), sound(300, rate=44_100))
    assert [begin for begin, _ in placed] == [0, 0.1, 0.2, 0.3]


def test_a_picture_without_a_unit_of_time_is_left_out() -> None:
    """PyAV 18 has None for it, and PyAV 19 zero."""
    picture = VideoFrame(2, 2)
    picture.pts = 7
    assert PictureTimeline(Fraction(0), Fraction(25)).place(picture) == []
