"""What one owner may have, and that the owners take turns: none keeps the workers from others."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import NullPool, create_engine, inspect, text

from local_postgresql import LocalPostgresql
from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    claim,
    emptied,
    files_in,
    upload,
)
from video_queue.domain.errors import OwnerFull, TooManyPending
from video_queue.domain.videos import Claim, Report, VideoStatus
from video_queue.storage import store
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

OTHER = "spiffe://video-demo.test/console"
FAILED = Report(VideoStatus.FAILED, 0, "why")

Opened = Callable[[], AbstractAsyncContextManager[Store]]


async def test_an_owner_has_so_many_bytes_and_not_one_more(small_owners: Store) -> None:
    """The limit is 6 MB of 10 MB. It is met to the byte, and leaves room for others."""
    queue, limit = small_owners, 6_000_000
    videos = [await upload(queue, b"x" * 3_000_000) for _ in range(2)]
    assert queue.quota.used_by(OWNER) == limit
    with pytest.raises(OwnerFull, match=f"{OWNER} together may have {limit} bytes: delete some"):
        await upload(queue, b"y")
    with pytest.raises(OwnerFull):
        await queue.uploads.check(OWNER, METADATA)
    await upload(queue, b"y", owner=OTHER)
    await queue.uploads.check(OTHER, METADATA)
    await queue.library.delete(videos[0].id, OWNER)
    await upload(queue, b"y")
    assert queue.quota.used_by(OWNER) == 3_000_001


async def test_the_bytes_of_an_upload_that_breaks_off_are_given_back_to_its_owner(
    queue: Store,
) -> None:
    async def broken_off() -> AsyncIterator[bytes]:
        yield b"half"
        assert queue.quota.used_by(OWNER) == 4
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await queue.uploads.receive(OWNER, METADATA, broken_off())
    assert queue.quota.used_by(OWNER) == 0


async def test_the_bytes_of_an_owner_are_known_after_a_restart(opened: Opened) -> None:
    async with opened() as queue:
        await upload(queue, b"12345")
        await upload(queue, b"123", owner=OTHER)
    async with opened() as queue:
        assert (queue.quota.used_by(OWNER), queue.quota.used_by(OTHER)) == (5, 3)
        assert queue.quota.used_bytes == 8


@pytest.fixture
async def two_pending(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    limits = dataclasses.replace(settings.limits, pending_per_owner=2)
    async with store.opened(dataclasses.replace(settings, limits=limits), clock) as queue:
        yield queue


@pytest.fixture
async def small_owners(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    small = dataclasses.replace(settings, owner_quota_bytes=6_000_000)
    async with store.opened(small, clock) as queue:
        yield queue


async def test_an_owner_has_so_many_pending_videos(two_pending: Store, settings: Settings) -> None:
    queue = two_pending
    for _ in range(2):
        await queue.uploads.check(OWNER, METADATA)
        await upload(queue)
    stored = files_in(settings)
    message = f"2 videos of {OWNER} are pending.*upload more when some of them are processed"
    with pytest.raises(TooManyPending, match=message):
        await queue.uploads.check(OWNER, METADATA)
    with pytest.raises(TooManyPending):
        await upload(queue)
    assert files_in(settings) == stored
    await upload(queue, owner=OTHER)
    await claim(queue)
    await queue.uploads.check(OWNER, METADATA)
    await upload(queue)


async def test_uploads_at_once_do_not_overshoot_the_pending_videos(two_pending: Store) -> None:
    """Each was let in when there was room; the catalog lets two of them come to their end."""
    queue = two_pending
    everybody = asyncio.Barrier(5)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        await everybody.wait()

    uploads = [queue.uploads.receive(OWNER, METADATA, chunks()) for _ in range(5)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    assert Counter(type(result).__name__ for result in results) == {"Video": 2, "TooManyPending": 3}


async def test_a_video_of_another_owner_does_not_wait_for_all_of_one(queue: Store) -> None:
    """One worker, and an owner who was first with ten videos."""
    for number in range(10):
        await upload(queue, title=f"{number}")
    order = [await finish(queue)]
    await upload(queue, owner=OTHER)
    order += [await finish(queue) for _ in range(10)]
    assert order == [OWNER, OTHER] + [OWNER] * 9


async def finish(queue: Store) -> str:
    claimed = await claim(queue)
    await queue.work.report("worker", claimed.lease, FAILED)
    return claimed.video.owner


async def test_an_owner_of_whom_no_video_is_worked_on_is_first(queue: Store) -> None:
    """Two workers, and an owner whose videos take long: the other owner's never wait for both."""
    for _ in range(3):
        await upload(queue)
        await upload(queue, owner=OTHER)
    long = await claim(queue)
    assert long.video.owner == OWNER
    for _ in range(3):
        assert await finish(queue) == OTHER
    assert await finish(queue) == OWNER


OWNERS = ("a", "b", "c")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upload"), st.sampled_from(OWNERS)),
        st.tuples(st.just("claim"), st.just("")),
        st.tuples(st.just("finish"), st.just("")),
        st.tuples(st.just("lose"), st.just("")),
    ),
    max_size=40,
)


@hypothesis_settings(max_examples=50)
@given(steps=STEPS)
def test_the_next_claim_is_the_model_s(
    steps: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fewest in work, then longest without a turn, then oldest."""
    data = tmp_path_factory.mktemp("data")
    asyncio.run(follow(steps, data, f"sqlite:///{data / 'video-queue.db'}"))


@hypothesis_settings(max_examples=6)
@given(steps=STEPS)
def test_and_the_model_s_in_postgresql(
    steps: list[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
    postgresql: LocalPostgresql,
) -> None:
    asyncio.run(follow(steps, tmp_path_factory.mktemp("data"), emptied(postgresql)))


async def follow(steps: list[tuple[str, str]], data: Path, database_url: str) -> None:
    clock, pending, leased = Clock(), list[tuple[int, str, str]](), list[Claim]()
    turns: dict[str, int] = {}
    settings = Settings.from_environment(
        {"VIDEO_QUEUE_DATA": str(data), "VIDEO_QUEUE_DATABASE_URL": database_url}
    )
    numbers: dict[str, int] = {}
    async with store.opened(settings, clock) as queue:
        for step, owner in steps:
            match step:
                case "upload":
                    video = await upload(queue, owner=owner)
                    numbers[video.id] = len(numbers)
                    pending.append((numbers[video.id], owner, video.id))
                case "claim":
                    claimed = await queue.work.claim("worker", 0)
                    if not pending:
                        assert claimed is None
                        continue
                    in_work = Counter(each.video.owner for each in leased)
                    expected = min(
                        pending, key=lambda each: (in_work[each[1]], turns.get(each[1], 0), each[0])
                    )
                    assert claimed is not None
                    assert claimed.video.id == expected[2]
                    turns[expected[1]] = max(turns.values(), default=0) + 1
                    pending.remove(expected)
                    leased.append(claimed)
                case "finish" if leased:
                    await queue.work.report("worker", leased.pop(0).lease, FAILED)
                case "lose":
                    clock.advance(settings.lease_seconds)
                    for each in leased:
                        if each.attempt < settings.max_attempts:
                            pending.append(
                                (numbers[each.video.id], each.video.owner, each.video.id)
                            )
                    leased.clear()


async def test_a_database_that_is_older_gets_the_index(opened: Opened, settings: Settings) -> None:
    index = "videos_by_status_and_owner"
    async with opened():
        pass
    engine = create_engine(settings.database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"DROP INDEX {index}"))
    async with opened():
        pass
    assert index in {each["name"] for each in inspect(engine).get_indexes("videos")}
