"""Claims, leases and reports: no video has two workers, and none is forgotten."""

import asyncio

import pytest

from tests.unit.video_queue.conftest import OWNER, Clock, claim, publish, until, upload
from video_queue.domain.errors import LeaseLost, ShuttingDown
from video_queue.domain.videos import Lease, Report, VideoStatus
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

GOES_ON = Report(VideoStatus.PROCESSING, 50, "")
COMPLETED = Report(VideoStatus.COMPLETED, 100, "")


async def test_the_oldest_video_is_claimed_first(queue: Store) -> None:
    videos = [await upload(queue, title=f"{number}") for number in range(3)]
    claims = [await claim(queue) for _ in videos]
    assert [claim.video.id for claim in claims] == [video.id for video in videos]
    assert {claim.video.status for claim in claims} == {VideoStatus.PROCESSING}
    assert await queue.work.claim("worker", 0) is None


async def test_a_video_whose_lease_was_lost_goes_before_newer_ones(
    queue: Store, clock: Clock, settings: Settings
) -> None:
    old = await upload(queue, title="old")
    first = await claim(queue)
    await upload(queue, title="new")
    clock.advance(settings.lease_seconds)
    second = await claim(queue)
    assert second.video.id == old.id
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.lease.token > first.lease.token


async def test_claims_at_once_never_get_the_same_video(queue: Store) -> None:
    for number in range(6):
        await upload(queue, title=f"{number}")
    ids = []
    while claims := await asyncio.gather(*(queue.work.claim("worker", 0) for _ in range(3))):
        ids += [claim.video.id for claim in claims if claim]
        if None in claims:
            break
    assert len(ids) == len(set(ids)) == 6


async def test_a_claim_waits_for_an_upload(queue: Store) -> None:
    task = asyncio.create_task(queue.work.claim("worker", 60))
    await until(lambda: queue.notifier.subscribers == 1)
    video = await upload(queue)
    claimed = await task
    assert claimed
    assert claimed.video.id == video.id


async def test_a_claim_waits_for_a_lost_lease(
    queue: Store, clock: Clock, settings: Settings
) -> None:
    await upload(queue)
    await claim(queue)
    task = asyncio.create_task(queue.work.claim("worker", 60))
    await until(lambda: queue.notifier.subscribers == 1)
    clock.advance(settings.lease_seconds)
    await queue.work.release_lost()
    claimed = await task
    assert claimed
    assert claimed.attempt == 2


async def test_a_waiting_claim_is_sent_away_at_the_end(queue: Store) -> None:
    task = asyncio.create_task(queue.work.claim("worker", 60))
    await until(lambda: queue.notifier.subscribers == 1)
    queue.notifier.close()
    with pytest.raises(ShuttingDown):
        await task


async def test_a_report_renews_the_lease(queue: Store, clock: Clock, settings: Settings) -> None:
    await upload(queue)
    lease = (await claim(queue)).lease
    for _ in range(5):
        clock.advance(settings.lease_seconds - 1)
        await queue.work.report("worker", lease, GOES_ON)
    clock.advance(settings.lease_seconds)
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", lease, GOES_ON)


@pytest.mark.parametrize("report", [GOES_ON, COMPLETED], ids=["goes on", "completed"])
async def test_a_worker_that_comes_back_late_changes_nothing(
    queue: Store, clock: Clock, settings: Settings, report: Report
) -> None:
    await upload(queue)
    late = await claim(queue)
    clock.advance(settings.lease_seconds)
    current = await claim(queue)
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", late.lease, report)
    with pytest.raises(LeaseLost):
        async with queue.work.reading(late.lease):
            pass
    assert await queue.library.get(current.video.id) == current.video
    await publish(queue, current.lease)
    await queue.work.report("worker", current.lease, report)


@pytest.mark.parametrize("status", [VideoStatus.COMPLETED, VideoStatus.FAILED])
async def test_a_final_report_ends_the_lease_for_good(
    queue: Store, clock: Clock, settings: Settings, status: VideoStatus
) -> None:
    await upload(queue)
    lease = (await claim(queue)).lease
    await publish(queue, lease)
    await queue.work.report("worker", lease, Report(status, 100, "why"))
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", lease, GOES_ON)
    clock.advance(settings.lease_seconds)
    assert await queue.work.claim("worker", 0) is None
    assert (await queue.library.get(lease.video_id)).status is status


async def test_a_video_that_nobody_finishes_fails_with_a_reason(
    queue: Store, clock: Clock, settings: Settings
) -> None:
    video = await upload(queue)
    for attempt in range(1, settings.max_attempts + 1):
        assert (await claim(queue)).attempt == attempt
        clock.advance(settings.lease_seconds)
    assert await queue.work.claim("worker", 0) is None
    failed = await queue.library.get(video.id)
    assert failed.status is VideoStatus.FAILED
    assert "No worker has finished this video in 3 attempts" in failed.failure_reason


async def test_a_lost_lease_leads_back_to_pending_without_any_worker(
    queue: Store, clock: Clock, settings: Settings
) -> None:
    video = await upload(queue)
    await queue.work.report("worker", (await claim(queue)).lease, GOES_ON)
    clock.advance(settings.lease_seconds)
    await queue.work.release_lost()
    now = await queue.library.get(video.id)
    assert (now.status, now.progress_percent) == (VideoStatus.PENDING, 0)


async def test_deleting_a_video_ends_its_lease(queue: Store) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease
    await queue.library.delete(video.id, OWNER)
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", lease, COMPLETED)


async def test_the_holder_of_a_lease_reads_the_source(queue: Store) -> None:
    await upload(queue, b"the ", b"bytes")
    async with queue.work.reading((await claim(queue)).lease) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"the bytes"


async def test_an_invented_lease_opens_nothing(queue: Store) -> None:
    lease = (await upload(queue), await claim(queue))[1].lease
    for invented in (Lease(lease.video_id, lease.token + 1), Lease("", 0), Lease("x", lease.token)):
        with pytest.raises(LeaseLost):
            async with queue.work.reading(invented):
                pass
