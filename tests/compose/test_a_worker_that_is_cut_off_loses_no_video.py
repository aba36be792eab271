"""A worker that has lost its network loses its lease, and the video gets another attempt."""

from pathlib import Path

import pytest

from sample_video import make_sample_video
from tests.compose.fragile import cut_off, join, until_served
from tests.compose.project import Event, Project
from tests.compose.waiting import wait_for


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Work for a while, whatever the machine: there has to be time to cut the worker off."""
    path = Path(tmp_path_factory.mktemp("source"), "clip.mp4")
    make_sample_video(path, seconds=20)
    return path.read_bytes()


def test_its_video_is_completed_once(fragile: Project, clip: bytes) -> None:
    """Injected: the worker is cut off while it works, until its lease is lost.

    Seen: the video waits again and shows nothing; back on the network, a second attempt succeeds.
    """
    until_served(fragile)
    since = fragile.log_position("video-queue")
    video_id = fragile.upload("a long one", clip)
    fragile.wait_for_event("video-queue", since, event="video.claimed", video=video_id)
    cut_off(fragile, "transcoder")
    try:
        fragile.wait_for_event("video-queue", since, event="video.status", lease="lost")
        video = fragile.request("GET", f"/videos/{video_id}").json
        assert (video["status"], video["renditions"]) == ("pending", [])
    finally:
        join(fragile, "transcoder")

    def completed() -> bool:
        return bool(fragile.request("GET", f"/videos/{video_id}").json["status"] == "completed")

    wait_for(completed, "the second attempt", seconds=120)
    events: list[Event] = fragile.events("video-queue", since)
    of_video = [event for event in events if event.get("video") == video_id]
    assert [event["attempt"] for event in of_video if "attempt" in event][:2] == [1, 2]
    assert [event.get("status") for event in of_video].count("completed") == 1
