"""What is made of people's videos looks and sounds as it does in a player."""

import asyncio
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import pytest
from av.audio.resampler import AudioResampler
from av.video.frame import VideoFrame

from tests.making_videos import Clip, write_clip
from tests.spoiling_videos import with_channels, with_display_matrix
from tests.unit.transcoder.conftest import Events, named
from tests.unit.transcoder.looking import Picture, difference, first_pictures
from transcoder.job import MediaFile
from transcoder.media import JOB
from transcoder.media.facts import Colour
from transcoder.media.thumbnail import Thumbnail
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.supervisor import run_job

ALIKE = 4  # of 255, as in test_awkward_videos.py
HOURS = 3600
PQ, HLG = 16, 18
BT2020 = 9


def converted(source: Path) -> dict[str, MediaFile]:
    """Convert a source as a worker does; return what is made, by its name. The files are closed."""
    job = run_job(JOB, source, source.parent / "made", Limits(), lambda _: None)
    made = asyncio.run(job)
    for file in made:
        file.content.close()
    return {file.name: file for file in made}


def rendition(source: Path) -> Path:
    return source.parent / "made" / "360p.mp4"


# Each of the eight ways to lay a rectangle on another: what display matrices say.
@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (-1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_a_picture_is_turned_and_mirrored_as_its_display_matrix_says(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    source = tmp_path / "source.mp4"
    write_clip(source, Clip(sounds=()))
    source.write_bytes(with_display_matrix(source.read_bytes(), matrix))
    file = converted(source)["360p"]
    is_transposed = matrix[0] == 0
    assert (file.width, file.height) == ((180, 320) if is_transposed else (320, 180))
    [stored] = first_pictures(source, 1)
    [shown] = first_pictures(rendition(source), 1)
    assert difference(shown, laid(stored, matrix)) < ALIKE


def laid(picture: Picture, matrix: tuple[int, int, int, int]) -> Picture:
    """Return the picture with every pixel where the matrix puts it, by its definition."""
    a, b, c, d = matrix
    last = len(picture) - 1
    places = {
        (a * x + c * y + last * (a + c < 0), b * x + d * y + last * (b + d < 0)): pixel
        for y, row in enumerate(picture)
        for x, pixel in enumerate(row)
    }
    return [[places[x, y] for x in range(last + 1)] for y in range(last + 1)]


@pytest.mark.parametrize(
    "clip",
    [
        Clip(container="matroska", subtitles=[(0, 20), (5 * HOURS, 5 * HOURS + 1)]),
        Clip(container="matroska", subtitles=[(20, 21)]),
        Clip(sounds=("aac", "aac"), other_sounds_last=10),
        Clip(container="matroska", sounds=("aac", "aac"), other_sounds_last=10),
        Clip(container="matroska", sounds=("aac",) * 40),
        Clip(container="matroska", sounds=("aac", "tta")),
    ],
    ids=[
        *("a subtitle after hours", "a late subtitle", "a longer sound", "a longer sound in MKV"),
        *("many sounds", "a sound in an unknown codec"),
    ],
)
def test_a_track_that_is_not_chosen_refuses_no_video(tmp_path: Path, clip: Clip) -> None:
    source = tmp_path / "source"
    write_clip(source, clip)
    assert converted(source)["360p"].duration_seconds == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("matroska", "mp2"),
        ("mov", "pcm_alaw"),
        ("mov", "pcm_mulaw"),
        ("mov", "pcm_u8"),
        ("mov", "pcm_s8"),
        ("mov", "pcm_s16be"),
        ("matroska", "pcm_u8"),
        ("mov", "pcm_f32be"),
    ],
)
def test_old_sound_is_heard(tmp_path: Path, container: str, codec: str) -> None:
    source = tmp_path / "source"
    write_clip(source, Clip(container=container, sounds=(codec,)))
    converted(source)
    assert loudness(rendition(source)) == pytest.approx(loudness(source), rel=0.05)


def test_the_sound_that_can_be_decoded_takes_the_place_of_one_that_cannot(tmp_path: Path) -> None:
    source = tmp_path / "source.mov"
    write_clip(source, Clip(container="mov", sounds=("pcm_f64le", "aac")))
    converted(source)
    assert loudness(rendition(source)) == pytest.approx(loudness(source, track=1), rel=0.05)


def test_without_a_sound_that_can_be_decoded_there_is_none_and_the_log_says_so(
    tmp_path: Path, events: Events
) -> None:
    source = tmp_path / "source.mkv"
    write_clip(source, Clip(container="matroska", sounds=("tta",)))
    converted(source)
    with av.open(rendition(source)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    [event] = named(events, "job.notes")
    assert event["notes"] == ["The sound is left out: no track of it can be decoded."]


@pytest.mark.parametrize(
    "labels",
    [(2, 1, 4, 3), (0xFFFF_FFFE,) * 4, (0xFFFF_FFFF,) * 4, (0,) * 4, (1, 1, 2, 2)],
    ids=["in another order", "unused", "unknown", "none", "twice"],
)
def test_a_layout_that_a_file_has_made_up_is_one_of_so_many_channels(
    tmp_path: Path, labels: tuple[int, ...]
) -> None:
    """With the first, PyAV frees the same memory twice, and the process breaks down."""
    heard = []
    for name, labelled in (("usual", False), ("made up", True)):
        source = tmp_path / name / "source.mov"
        source.parent.mkdir()
        write_clip(source, Clip(container="mov", sounds=("pcm_s16le",), sound_layout="4.0"))
        if labelled:
            source.write_bytes(with_channels(source.read_bytes(), *labels))
        converted(source)
        heard.append(loudness(rendition(source)))
    assert heard[0] == pytest.approx(heard[1], rel=0.01)
    assert heard[0] > 500


def test_interlaced_pictures_lose_their_combs_and_keep_their_times(tmp_path: Path) -> None:
    combs = []
    for name, is_interlaced in (("progressive", False), ("interlaced", True)):
        source = tmp_path / name / "source.mp4"
        source.parent.mkdir()
        write_clip(source, Clip(size=(640, 360), is_interlaced=is_interlaced, sounds=()))
        assert converted(source)["360p"].duration_seconds == pytest.approx(1, abs=0.01)
        combs += [comb(source), comb(rendition(source))]
        assert times(rendition(source)) == pytest.approx(times(source), abs=0.001)
    progressive, made_of_progressive, interlaced, made_of_interlaced = combs
    assert interlaced > 1.5 * progressive
    assert made_of_progressive == pytest.approx(progressive, rel=0.1)
    assert made_of_interlaced < 1.1 * progressive


def comb(path: Path) -> float:
    """Return how much a line differs from the one above it and the one below, on average."""
    with av.open(path) as container:
        *_, picture = container.decode(video=0)
        plane = picture.planes[0]
        lines = [
            bytes(plane)[plane.line_size * n :][: picture.width] for n in range(picture.height)
        ]
    return sum(
        abs(2 * here - above - below)
        for above_line, line, below_line in zip(lines, lines[1:], lines[2:], strict=False)
        for above, here, below in zip(above_line, line, below_line, strict=True)
    ) / (picture.width * picture.height)


def times(path: Path) -> list[float]:
    with av.open(path) as container:
        return [picture.time or 0 for picture in container.decode(video=0)]


def pq(nits: float) -> float:
    """Return the share of the largest number that stands for so much light: ITU-R BT.2100."""
    light = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * light) / (1 + 18.6875 * light)) ** 78.84375)


def hlg(nits: float) -> float:
    light = float((nits / 1000) ** (1 / 1.2))
    if light <= 1 / 12:
        return math.sqrt(3 * light)
    return 0.17883277 * math.log(12 * light - 0.28466892) + 0.55991073


@pytest.mark.parametrize(("curve", "transfer"), [(pq, PQ), (hlg, HLG)], ids=["PQ", "HLG"])
def test_the_thumbnail_of_hdr_is_as_bright_as_a_player_shows_it(
    tmp_path: Path, curve: Callable[[float], float], transfer: int
) -> None:
    """White is 203 nits (ITU-R BT.2408): not grey, though brighter things are told from it."""
    shown = []
    for nits in (0, 26, 203, 1000):
        thumbnail = Thumbnail(tmp_path / "thumbnail.jpg", 0, Colour(BT2020, transfer, BT2020))
        thumbnail.offer(grey(round(16 + 219 * curve(nits))))
        shown.append(mean(tmp_path / "thumbnail.jpg"))
    black, middle, white, brightest = shown
    assert black < 3
    assert 80 < middle < 130
    assert 215 < white < 240
    assert brightest > 250


def test_a_thumbnail_without_hdr_is_as_before(tmp_path: Path) -> None:
    thumbnail = Thumbnail(tmp_path / "thumbnail.jpg", 0, Colour(1, 1, 1))
    thumbnail.offer(grey(146))
    assert mean(tmp_path / "thumbnail.jpg") == pytest.approx((146 - 16) / 219 * 255, abs=2)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_a_video_says_of_its_light_reaches_the_thumbnail(
    tmp_path: Path, transfer: int
) -> None:
    shown = []
    for colour in ((BT2020, transfer, BT2020), (BT2020, 1, BT2020)):
        source = tmp_path / str(colour) / "source.mp4"
        source.parent.mkdir()
        write_clip(source, Clip(colour=colour, sounds=()))
        converted(source)
        shown += first_pictures(source.parent / "made" / "thumbnail.jpg", 1)
    assert difference(*shown) > ALIKE


@pytest.mark.parametrize("matrix", [*range(18), 255])
def test_whatever_matrix_a_video_names_it_is_converted_or_ignored(
    tmp_path: Path, matrix: int
) -> None:
    source, plain = tmp_path / "source.mp4", tmp_path / "plain.mp4"
    write_clip(plain, Clip(sounds=()))
    write_clip(source, Clip(colour=(2, 2, matrix), sounds=()))
    converted(source)
    # The numbers stay, and what they mean is said to the player if it can be said.
    assert brightness(rendition(source)) == pytest.approx(brightness(plain), abs=1)


def grey(value: int) -> VideoFrame:
    picture = VideoFrame(64, 64, "yuv420p")
    for plane, content in zip(picture.planes, (value, 128, 128), strict=True):
        plane.update(bytes([content]) * plane.buffer_size)
    picture.pts, picture.time_base = 0, Fraction(1, 90_000)
    picture.color_range = 1
    return picture


def mean(path: Path) -> float:
    """Return the mean of red, green and blue of the first picture: 0 to 255."""
    [picture] = first_pictures(path, 1)
    values = list(chain.from_iterable(chain.from_iterable(picture)))
    return sum(values) / len(values)


def brightness(path: Path) -> float:
    """Return the mean of the first plane of the first picture."""
    with av.open(path) as container:
        plane = next(container.decode(video=0)).planes[0]
        return sum(bytes(plane)) / plane.buffer_size


def loudness(path: Path, track: int = 0) -> float:
    """Return the root of the mean square of the samples of a sound: 0 to 32767."""
    with av.open(path) as container:
        resampler = AudioResampler(format="s16", layout="mono", rate=48_000)
        mono = (it for sound in container.decode(audio=track) for it in resampler.resample(sound))
        samples = [
            value
            for it in mono
            for value in memoryview(bytes(it.planes[0])).cast("h")[: it.samples]
        ]
    return math.sqrt(sum(value * value for value in samples) / len(samples))
