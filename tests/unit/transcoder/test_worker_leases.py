"""A worker works on a video for as long as it holds its lease, and not a moment longer."""

from pathlib import Path

import pytest

from tests.unit.transcoder.conftest import Child, Events, Start, named, names_in
from tests.unit.transcoder.fake_queue import (
    BROKEN,
    DELETED,
    LOST,
    SURPRISE,
    Call,
    FakeQueue,
    Status,
)

pytestmark = pytest.mark.usefixtures("server")

BOTH_LOSSES = pytest.mark.parametrize("status", [LOST, DELETED], ids=["lease lost", "deleted"])


async def test_heartbeats_say_how_far_the_work_is(
    queue: FakeQueue, child: Child, start: Start
) -> None:
    child.may_end.clear()
    queue.add("first")
    await start()
    await child.begins()
    for percent in (0, 10, 99):
        child.report(percent)
        await queue.came(Call("Heartbeat", "first", percent))


async def test_without_progress_the_lease_is_renewed_all_the_same(
    queue: FakeQueue, child: Child, start: Start
) -> None:
    queue.lease_seconds = 3
    child.may_end.clear()
    queue.add("first")
    await start()
    await queue.came(Call("Heartbeat", "first", 0), times=5)  # for longer than the lease lasts
    child.may_end.set()
    await queue.completed("first")


@BOTH_LOSSES
async def test_a_video_that_is_lost_is_dropped_at_once_and_the_next_one_is_done(
    queue: FakeQueue, child: Child, start: Start, events: Events, scratch: Path, status: Status
) -> None:
    """The next heartbeat would be due in a quarter of an hour."""
    child.may_end.clear()
    queue.add("lost")
    queue.add("next")
    await start()
    await child.begins()
    await queue.came(Call("Heartbeat", "lost", 0))

    queue.lose("lost", status)

    await child.begins()
    assert child.cancelled == 1
    assert len(names_in(scratch)) == 1
    assert queue.reports("lost") == ["PROCESSING"]
    child.may_end.set()
    await queue.completed("next")
    assert {published.metadata.lease.video_id for published in queue.published} == {"next"}
    assert [event["video"] for event in named(events, "work.lost")] == ["lost"]


@BOTH_LOSSES
@pytest.mark.parametrize("method", ["FetchSource", "PublishRendition", "UpdateVideoStatus"])
async def test_whichever_call_says_that_the_video_is_lost_it_is_dropped(
    queue: FakeQueue, start: Start, events: Events, status: Status, method: str
) -> None:
    queue.fail(method, status)
    queue.add("lost")
    queue.add("next")
    await start()
    await queue.completed("next")
    assert "COMPLETED" not in queue.reports("lost")
    assert {published.metadata.lease.video_id for published in queue.published} == {"next"}
    assert [event["video"] for event in named(events, "work.lost")] == ["lost"]


async def test_a_lease_that_is_lost_at_the_last_moment_completes_nothing(
    queue: FakeQueue, start: Start, events: Events
) -> None:
    queue.fail("UpdateVideoStatus", None, LOST)
    queue.add("lost")
    await start()
    await queue.came(Call("ClaimVideo"), times=2)
    assert [event["video"] for event in named(events, "work.lost")] == ["lost"]
    assert not named(events, "video.completed")


async def test_a_video_that_is_lost_within_a_file_is_dropped(
    queue: FakeQueue, start: Start
) -> None:
    queue.failures_within_files = [LOST]
    queue.add("lost")
    queue.add("next")
    await start()
    await queue.completed("next")


async def test_nothing_of_a_file_is_sent_before_the_queue_has_accepted_it(
    queue: FakeQueue, start: Start, events: Events
) -> None:
    queue.refuses_files = True
    queue.add("lost")
    await start()
    await queue.came(Call("ClaimVideo"), times=2)
    assert not queue.sent_unasked
    assert [event["video"] for event in named(events, "work.lost")] == ["lost"]


async def test_a_queue_that_does_not_answer_costs_the_lease(
    queue: FakeQueue, child: Child, start: Start, events: Events
) -> None:
    queue.lease_seconds = 1
    queue.answers_heartbeats.clear()
    child.may_end.clear()
    queue.add("first")
    queue.add("second")
    await start()
    await child.begins()
    await child.begins()
    assert child.cancelled == 1
    assert [event["video"] for event in named(events, "work.lost")] == ["first"]


@pytest.mark.parametrize("status", [BROKEN, SURPRISE], ids=["unavailable", "internal"])
@pytest.mark.parametrize(
    "method", ["Heartbeat", "FetchSource", "PublishRendition", "UpdateVideoStatus"]
)
async def test_a_call_that_breaks_off_is_made_again(
    queue: FakeQueue, start: Start, child: Child, method: str, status: Status
) -> None:
    queue.fail(method, status, status)
    queue.add("first")
    await start()
    await queue.completed("first")
    assert [published.content for published in queue.published] == list(child.files.values())


async def test_a_stream_of_heartbeats_that_breaks_off_is_opened_again(
    queue: FakeQueue, child: Child, start: Start
) -> None:
    child.may_end.clear()
    queue.add("first")
    await start()
    await child.begins()
    await queue.came(Call("Heartbeat", "first", 0))
    queue.fail("Heartbeat", BROKEN, BROKEN)
    child.report(50)
    await queue.came(Call("Heartbeat", "first", 50), times=3)
    child.may_end.set()
    await queue.completed("first")
    assert child.cancelled == 0


async def test_a_file_that_breaks_off_is_sent_again_from_its_start(
    queue: FakeQueue, start: Start, child: Child
) -> None:
    queue.failures_within_files = [BROKEN]
    queue.add("first")
    await start()
    await queue.completed("first")
    assert [published.content for published in queue.published] == list(child.files.values())


async def test_a_file_that_can_never_be_published_is_given_up(
    queue: FakeQueue, start: Start, events: Events
) -> None:
    queue.lease_seconds = 3  # for all beats to be in time
    queue.fail("PublishRendition", *[SURPRISE] * 10_000)
    queue.add("first")
    await start()
    await queue.came(Call("ClaimVideo"), times=2)
    assert [event["video"] for event in named(events, "work.given_up")] == ["first"]


async def test_no_heartbeat_follows_the_report_that_ends_the_lease(
    queue: FakeQueue, start: Start
) -> None:
    for number in range(10):
        queue.add(f"video {number}")
    await start()
    await queue.completed("video 9")
    for number in range(10):
        calls = [call for call in queue.calls if call.video == f"video {number}"]
        assert calls[-1] == Call("UpdateVideoStatus", f"video {number}", "COMPLETED")


async def test_however_fast_the_progress_there_is_a_pause_after_each_heartbeat(
    queue: FakeQueue, child: Child, start: Start
) -> None:
    child.may_end.clear()
    queue.add("first")
    await start(heartbeat_seconds=1000)
    await child.begins()
    await queue.came(Call("Heartbeat", "first", 0))
    child.report(50)
    child.may_end.set()
    await queue.completed("first")
    assert sum(call.method == "Heartbeat" for call in queue.calls) == 1
