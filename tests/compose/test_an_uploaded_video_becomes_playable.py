"""What is uploaded at the gateway is transcoded, in the memory that the container has."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.compose.project import Project
from tests.compose.waiting import wait_for
from tests.making_videos import FRAMES_PER_SECOND, Clip, write_clip

SECONDS = 3
TIMES = tuple(n / FRAMES_PER_SECOND for n in range(SECONDS * FRAMES_PER_SECOND))


@pytest.fixture(scope="module")
def video(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """A video in 1080p, after the work on it has ended."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    write_clip(path, Clip(size=(1920, 1080), times=TIMES, sound_lasts=SECONDS))
    video_id = project.upload("a clip", path.read_bytes())

    def ended() -> Mapping[str, Any] | None:
        video: Mapping[str, Any] = project.request("GET", f"/videos/{video_id}").json
        return video if video["status"] in {"completed", "failed"} else None

    return wait_for(ended, "the end of the work", seconds=180)


def test_it_is_completed_with_every_rendition_and_a_thumbnail(video: Mapping[str, Any]) -> None:
    assert video["status"] == "completed", video["failure_reason"]
    names = [rendition["name"] for rendition in video["renditions"]]
    assert names == ["1080p", "720p", "360p", "thumbnail"]


@pytest.mark.parametrize(("name", "height"), [("1080p", 1080), ("720p", 720), ("360p", 360)])
def test_a_rendition_plays(
    project: Project, video: Mapping[str, Any], tmp_path: Path, name: str, height: int
) -> None:
    answer = project.request("GET", f"/videos/{video['id']}/renditions/{name}")
    assert answer.status == 200, answer
    path = tmp_path / "rendition.mp4"
    path.write_bytes(answer.body)
    with av.open(path) as rendition:
        pictures = list(rendition.decode(video=0))
        assert {picture.height for picture in pictures} == {height}
        assert len(pictures) == len(TIMES)
        assert rendition.streams.video[0].codec_context.name == "h264"
        assert abs(Fraction(rendition.duration or 0, av.time_base) - SECONDS) < Fraction(1, 10)
