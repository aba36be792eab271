"""A clock that is put forward or back by a day costs attempts and time, and no video."""

import dataclasses

import pytest

from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    chunks_of,
    claim,
    publish,
    upload,
)
from video_queue.domain.errors import LeaseLost
from video_queue.domain.videos import Report, VideoStatus
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

DAY = 24 * 60 * 60
GOES_ON = Report(VideoStatus.PROCESSING, 50, "")
COMPLETED = Report(VideoStatus.COMPLETED, 100, "")


async def complete(queue: Store) -> None:
    lease = (await claim(queue)).lease
    await publish(queue, lease)
    await queue.work.report("worker", lease, COMPLETED)


async def test_forward_during_work_costs_one_attempt(queue: Store, clock: Clock) -> None:
    """Seen: the lease is lost, the late worker is told so, and the next attempt succeeds."""
    video = await upload(queue)
    first = await claim(queue)
    clock.advance(DAY)
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", first.lease, GOES_ON)
    await complete(queue)
    assert (await queue.library.get(video.id)).status is VideoStatus.COMPLETED


async def test_back_during_work_does_not_make_a_dead_worker_immortal(
    queue: Store, clock: Clock
) -> None:
    """Seen: the video is given to the next worker, and not a day later."""
    video = await upload(queue)
    await claim(queue)
    clock.advance(-DAY)
    await complete(queue)
    assert (await queue.library.get(video.id)).status is VideoStatus.COMPLETED


async def test_back_by_less_than_a_lease_takes_no_work_away(
    queue: Store, clock: Clock, settings: Settings
) -> None:
    await upload(queue)
    lease = (await claim(queue)).lease
    clock.advance(-settings.lease_seconds)
    await queue.work.release_lost()
    await queue.work.report("worker", lease, GOES_ON)


@pytest.mark.parametrize("seconds", [DAY, -DAY])
async def test_videos_stay_in_the_order_in_which_they_came(
    queue: Store, clock: Clock, seconds: int
) -> None:
    """Seen: `created_at` is what the clock says; lists, pages and the queue do not go by it."""
    first = await upload(queue, title="first")
    clock.advance(seconds)
    second = await upload(queue, title="second")
    assert second.created_at != first.created_at
    assert (await queue.library.page(50, None))[0] == [second, first]
    newest, position = await queue.library.page(1, None)
    older, _ = await queue.library.page(1, position)
    assert newest + older == [second, first]
    assert (await claim(queue)).video.id == first.id


async def test_back_forgets_no_key(queue: Store, clock: Clock) -> None:
    """Forward does: test_idempotency_keys.py."""
    keyed = dataclasses.replace(METADATA, idempotency_key="key")
    first = await queue.uploads.receive(OWNER, keyed, chunks_of(b"bytes"))
    clock.advance(-DAY)
    assert await queue.uploads.receive(OWNER, keyed, chunks_of(b"bytes")) == first
