"""Every awkward video has the outcome that its table says, and every rendition plays."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.awkward_videos import COMPLETED, FAILED, Awkward
from tests.unit.transcoder.looking import (
    boxes,
    difference,
    first_pictures,
    mirrored,
    picture_times,
    seconds,
    turned,
)
from transcoder.job import MediaFile
from transcoder.media import JOB
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.supervisor import run_job

ONE_PICTURE_SECONDS = 1 / 25
# Of 255, measured on this table: what is scaled and encoded again differs by 0.0 to 2.9 from its
# source, and by 9 to 246 from its source mirrored or turned. From the picture before or after it
# differs by as little as 1.3, so that to be in order is a claim of its own.
ALIKE = 4
GREEN_BLUE_RED = 0  # a code point of ITU-T H.273 that is not for YUV


@dataclass(frozen=True)
class Completed:
    expected: Awkward
    source: Path
    files: tuple[MediaFile, ...]

    def path(self, file: MediaFile) -> Path:
        """Return where the file lies; the worker itself does not open it by name."""
        [output] = [it for it in JOB.outputs if it.name == file.name]
        return self.source.parent / "made" / output.file_name

    @property
    def renditions(self) -> tuple[MediaFile, ...]:
        return self.files[:-1]


@pytest.fixture(scope="module", params=COMPLETED)
def completed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Completed:
    folder = tmp_path_factory.mktemp("completed")
    source = folder / request.param
    expected = COMPLETED[request.param]
    expected.make(source)
    files = asyncio.run(run_job(JOB, source, folder / "made", Limits(), lambda _: None))
    for file in files:
        file.content.close()
    return Completed(expected, source, files)


def test_makes_the_renditions_that_fit_and_a_thumbnail(completed: Completed) -> None:
    sizes = {file.name: (file.width, file.height) for file in completed.files}
    [*_, smallest] = completed.expected.renditions.values()
    assert sizes == {**completed.expected.renditions, "thumbnail": smallest}


def test_says_the_truth_of_each_file(completed: Completed) -> None:
    for file in completed.files:
        with av.open(completed.path(file)) as container:
            [video] = container.streams.video
            assert (file.width, file.height) == (video.width, video.height)
        assert file.size_bytes == completed.path(file).stat().st_size
        assert file.content_type == ("image/jpeg" if file.name == "thumbnail" else "video/mp4")


def test_makes_h264_and_aac_that_every_browser_plays(completed: Completed) -> None:
    with av.open(completed.source) as source:
        has_sound = bool(source.streams.audio)
    for file in completed.renditions:
        with av.open(completed.path(file)) as container:
            [video] = container.streams.video
            assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
            assert video.codec_context.colorspace != GREEN_BLUE_RED
            sounds = [(it.codec_context.name, it.sample_rate) for it in container.streams.audio]
            assert sounds == [("aac", 48_000)] * has_sound


def test_can_be_played_while_it_loads(completed: Completed) -> None:
    for file in completed.renditions:
        order = boxes(completed.path(file))
        assert order.index(b"moov") < order.index(b"mdat")


def test_looks_like_the_source(completed: Completed) -> None:
    source = [turned(it, completed.expected.turn) for it in first_pictures(completed.source, 3)]
    for file in completed.renditions:
        made = first_pictures(completed.path(file), 3)
        for n, picture in enumerate(made):
            differences = [difference(picture, it) for it in source]
            assert differences[n] < ALIKE
            assert differences[n] == min(differences)
            if file.width > 2:  # two pixels look like anything
                assert difference(picture, mirrored(source[n])) > ALIKE
                assert difference(picture, turned(source[n], 180)) > ALIKE


def test_thumbnail_is_a_picture_of_the_source(completed: Completed) -> None:
    *_, thumbnail = completed.files
    assert completed.path(thumbnail).read_bytes().startswith(b"\xff\xd8\xff")
    [picture] = first_pictures(completed.path(thumbnail), 1)
    source = first_pictures(completed.source, 100)
    assert min(difference(picture, turned(it, completed.expected.turn)) for it in source) < ALIKE


def test_every_picture_keeps_its_time(completed: Completed) -> None:
    expected = picture_times(completed.source)
    for file in completed.renditions:
        assert picture_times(completed.path(file)) == pytest.approx(expected, abs=0.001)


def test_lasts_as_long_as_the_source(completed: Completed) -> None:
    pictures = seconds(completed.source, "video")
    everything = seconds(completed.source, "video", "audio")
    for file in completed.renditions:
        assert file.duration_seconds == pytest.approx(everything, abs=ONE_PICTURE_SECONDS)
        with av.open(completed.path(file)) as container:
            [video] = container.streams.video
            length = (video.duration or 0) * (video.time_base or 0)
        assert float(length) == pytest.approx(pictures, abs=ONE_PICTURE_SECONDS)


@pytest.mark.parametrize("name", FAILED)
def test_failure_has_a_reason_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    expected = FAILED[name]
    assert expected.error
    expected.make(tmp_path / name)
    with pytest.raises(expected.error) as failure:
        asyncio.run(run_job(JOB, tmp_path / name, tmp_path / "made", Limits(), lambda _: None))
    reason = str(failure.value)
    assert expected.message in reason
    assert str(tmp_path) not in reason
    assert list(tmp_path.iterdir()) == [tmp_path / name]
