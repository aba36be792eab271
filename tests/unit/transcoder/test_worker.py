"""What a worker does with one video after the other."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.unit.transcoder.conftest import Child, Events, Start, named, names_in
from tests.unit.transcoder.fake_queue import (
    CONTENT,
    PATIENCE_SECONDS,
    Call,
    FakeQueue,
)
from transcoder.errors import CannotStart
from transcoder.media.errors import NotAVideo
from transcoder.sandbox.limits import Limits

pytestmark = pytest.mark.usefixtures("server")


async def test_it_works_on_one_video_after_the_other(queue: FakeQueue, start: Start) -> None:
    queue.add("first")
    queue.add("second")
    await start()
    await queue.completed("second")
    assert [call.video for call in queue.calls if call.method == "FetchSource"] == [
        "first",
        "second",
    ]
    assert queue.reports("first") == queue.reports("second") == ["PROCESSING", "COMPLETED"]


async def test_the_source_arrives_whole(queue: FakeQueue, child: Child, start: Start) -> None:
    queue.add("first")
    await start()
    assert await child.begins() == CONTENT


@pytest.mark.parametrize("of_queue", [5, 2**40, 0], ids=["lower", "higher", "older queue"])
async def test_no_file_is_made_that_the_queue_would_refuse(
    queue: FakeQueue, child: Child, start: Start, of_queue: int
) -> None:
    """The lower limit counts. A file over it costs one attempt, and not one after the other."""
    queue.add("first")
    claim = queue.claims.get_nowait()
    claim.max_rendition_bytes = of_queue
    queue.claims.put_nowait(claim)
    await start()
    await child.begins()
    assert child.limits is not None
    assert child.limits.output_bytes == (5 if of_queue == 5 else Limits().output_bytes)


async def test_every_file_is_published_whole_before_the_video_is_completed(
    queue: FakeQueue, child: Child, start: Start
) -> None:
    queue.add("first")
    await start()
    await queue.completed("first")
    assert [published.content for published in queue.published] == list(child.files.values())
    assert queue.calls.index(Call("UpdateVideoStatus", "first", "COMPLETED")) == max(
        index for index, call in enumerate(queue.calls) if call.video == "first"
    )


async def test_a_file_is_published_with_what_there_is_to_know_of_it(
    queue: FakeQueue, start: Start
) -> None:
    queue.add("first")
    await start()
    await queue.completed("first")
    metadata = queue.published[0].metadata
    assert (metadata.lease.video_id, metadata.lease.token) == ("first", 7)
    assert (metadata.name, metadata.content_type) == ("720p", "video/mp4")
    assert (metadata.width, metadata.height, metadata.duration_ms) == (1280, 720, 1500)


async def test_a_video_that_fails_is_reported_with_its_reason_and_the_next_one_is_done(
    queue: FakeQueue, child: Child, start: Start, events: Events
) -> None:
    child.errors = [NotAVideo()]
    queue.add("bad")
    queue.add("good")
    await start()
    await queue.completed("good")
    assert queue.reports("bad") == ["PROCESSING", f"FAILED: {NotAVideo()}"]
    assert [event["video"] for event in named(events, "video.failed")] == ["bad"]


@pytest.mark.parametrize(
    "error", [CannotStart(), OSError(28, "No space left on device"), ZeroDivisionError()], ids=repr
)
async def test_of_a_failure_of_its_own_nothing_is_reported_and_the_next_one_is_done(
    queue: FakeQueue, child: Child, start: Start, events: Events, error: Exception
) -> None:
    child.errors = [error]
    queue.add("bad luck")
    queue.add("good")
    await start()
    await queue.completed("good")
    assert queue.reports("bad luck") == ["PROCESSING"]
    assert [event["video"] for event in named(events, "work.given_up")] == ["bad luck"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": hashlib.sha256(b"other pictures!").digest()},
        {"size_bytes": len(CONTENT) + 1},
        {"size_bytes": len(CONTENT) - 1},
    ],
    ids=["another hash", "too few bytes", "too many bytes"],
)
async def test_a_source_that_is_not_what_the_queue_said_is_not_transcoded(
    queue: FakeQueue, child: Child, start: Start, wrong: dict[str, object]
) -> None:
    queue.add("wrong", **wrong)
    queue.add("right")
    await start()
    await queue.completed("right")
    assert child.sources.qsize() == 1
    assert queue.reports("wrong") == ["PROCESSING"]


async def test_a_source_without_end_is_not_taken(queue: FakeQueue, start: Start) -> None:
    queue.sends_without_end = True
    queue.add("endless")
    await start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await queue.fetch_ended.wait()
    assert "FAILED" not in queue.reports("endless")


@pytest.mark.parametrize("error", [None, NotAVideo(), CannotStart()], ids=repr)
async def test_nothing_is_left_on_the_disk(
    queue: FakeQueue, child: Child, start: Start, scratch: Path, error: Exception | None
) -> None:
    child.errors = [error] if error else []
    queue.add("first")
    queue.add("second")
    await start()
    await child.begins()
    await child.begins()
    assert len(names_in(scratch)) == 1  # of the second


async def test_a_worker_that_is_stopped_drops_its_work_at_once(
    queue: FakeQueue, child: Child, start: Start, scratch: Path
) -> None:
    child.may_end.clear()
    queue.add("first")
    stop = await start()
    await child.begins()
    await stop()
    assert child.cancelled == 1
    assert not names_in(scratch)
    assert queue.reports("first") == ["PROCESSING"]
    assert not queue.published


async def test_events_say_what_was_done_and_never_the_title(
    queue: FakeQueue, start: Start, events: Events
) -> None:
    queue.add("first")
    await start()
    await queue.came(Call("ClaimVideo"), times=2)  # it asks for more work
    [claimed], [completed] = named(events, "video.claimed"), named(events, "video.completed")
    assert claimed["video"] == completed["video"] == "first"
    assert completed["renditions"] == ["720p", "thumbnail"]
    assert "a title" not in str(events)
