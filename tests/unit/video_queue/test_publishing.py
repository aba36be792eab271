"""Renditions: stored whole or not at all, seen when the work is completed, gone when it is not."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.unit.video_queue.conftest import (
    OWNER,
    Clock,
    bytes_in,
    chunks_of,
    claim,
    files_in,
    folder_only,
    publish,
    until,
    upload,
)
from video_queue.domain.errors import (
    BytesLost,
    CatalogUnavailable,
    InvalidRequest,
    LeaseLost,
    RenditionNotFound,
    StoreFull,
    TooLarge,
    TooManyRenditions,
)
from video_queue.domain.renditions import RenditionMetadata
from video_queue.domain.videos import Lease, Report, VideoStatus
from video_queue.storage.leases import Leases
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

Opened = Callable[[], AbstractAsyncContextManager[Store]]

COMPLETED = Report(VideoStatus.COMPLETED, 100, "")
FAILED = Report(VideoStatus.FAILED, 0, "why")
METADATA = RenditionMetadata(
    name="360p", content_type="video/mp4", width=640, height=360, duration_ms=0
)


async def read(queue: Store, video_id: str, name: str) -> bytes:
    async with queue.library.reading_rendition(video_id, name, 0, None) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def completed(queue: Store, **contents: bytes) -> str:
    """Return the ID of a video that was completed with renditions of these names and contents."""
    video = await upload(queue, b"source")
    lease = (await claim(queue)).lease
    for name, content in contents.items():
        await publish(queue, lease, content, name=name)
    await queue.work.report("worker", lease, COMPLETED)
    return video.id


async def test_nothing_is_seen_before_the_video_is_completed(queue: Store) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease
    small = await publish(queue, lease, b"small", name="360p")
    large = await publish(queue, lease, b"large", name="720p", width=1280)
    assert (await queue.library.get(video.id)).renditions == ()
    with pytest.raises(RenditionNotFound):
        await read(queue, video.id, "360p")

    await queue.work.report("worker", lease, COMPLETED)
    seen = await queue.library.get(video.id)
    assert seen.renditions == (large, small)
    assert await read(queue, video.id, "360p") == b"small"
    assert await queue.library.page(1, None) == ([seen], None)


async def test_renditions_survive_a_restart(opened: Opened) -> None:
    async with opened() as queue:
        video_id = await completed(queue, one=b"to stay")
        used_bytes = queue.quota.used_bytes
    async with opened() as queue:
        assert await read(queue, video_id, "one") == b"to stay"
        assert queue.quota.used_bytes == used_bytes


async def test_a_list_has_all_renditions_in_one_query_more(queue: Store) -> None:
    """However long the list is."""
    for number in range(5):
        await completed(queue, one=f"{number}".encode(), two=b"2")
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        videos, _ = await queue.library.page(5, None)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [len(video.renditions) for video in videos] == [2] * 5
    assert len({rendition.id for video in videos for rendition in video.renditions}) == 10
    assert len(statements) == 2


async def test_nothing_to_see_cannot_be_completed(queue: Store) -> None:
    await upload(queue)
    current = await claim(queue)
    with pytest.raises(InvalidRequest, match="publish a rendition first"):
        await queue.work.report("worker", current.lease, COMPLETED)
    assert await queue.library.get(current.video.id) == current.video
    await publish(queue, current.lease)
    await queue.work.report("worker", current.lease, COMPLETED)


async def test_the_same_name_again_replaces(queue: Store, settings: Settings) -> None:
    video = await upload(queue, b"source")
    lease = (await claim(queue)).lease
    await publish(queue, lease, b"the first, which is longer")
    second = await publish(queue, lease, b"the second")
    assert files_in(settings) == sorted([video.id, second.id])
    assert queue.quota.used_bytes == bytes_in(settings)
    await queue.work.report("worker", lease, COMPLETED)
    assert await read(queue, video.id, "360p") == b"the second"


@pytest.mark.parametrize("end", ["failed", "lost", "deleted"])
async def test_what_was_published_in_vain_is_gone(
    queue: Store, settings: Settings, clock: Clock, end: str
) -> None:
    video = await upload(queue, b"source")
    lease = (await claim(queue)).lease
    await publish(queue, lease, name="360p")
    await publish(queue, lease, name="720p")
    match end:
        case "failed":
            await queue.work.report("worker", lease, FAILED)
        case "lost":
            clock.advance(settings.lease_seconds)
            await queue.work.release_lost()
        case "deleted":
            await queue.library.delete(video.id, OWNER)
    assert files_in(settings) == ([] if end == "deleted" else [video.id])
    assert queue.quota.used_bytes == bytes_in(settings)
    with pytest.raises(LeaseLost):
        await publish(queue, lease)
    assert queue.quota.used_bytes == bytes_in(settings)


async def test_renditions_are_those_of_the_lease_that_completed(
    queue: Store, settings: Settings, clock: Clock
) -> None:
    video = await upload(queue)
    late = (await claim(queue)).lease
    await publish(queue, late, b"late", name="late")
    clock.advance(settings.lease_seconds)
    current = (await claim(queue)).lease
    await publish(queue, current, b"current", name="current")
    with pytest.raises(LeaseLost):
        await publish(queue, late, b"later", name="later")
    await queue.work.report("worker", current, COMPLETED)
    (rendition,) = (await queue.library.get(video.id)).renditions
    assert rendition.name == "current"
    assert files_in(settings) == sorted([video.id, rendition.id])


async def test_a_lease_that_ends_while_the_bytes_come_is_found_out(
    queue: Store, settings: Settings, clock: Clock
) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease

    async def slow() -> AsyncIterator[bytes]:
        yield b"in time"
        clock.advance(settings.lease_seconds)
        yield b"too late"

    with pytest.raises(LeaseLost):
        await queue.publishing.receive("worker", lease, METADATA, slow())
    assert files_in(settings) == [video.id]
    assert queue.quota.used_bytes == bytes_in(settings)


async def test_a_rendition_that_breaks_off_leaves_the_one_before(
    queue: Store, settings: Settings
) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease
    before = await publish(queue, lease)

    async def broken_off() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await queue.publishing.receive("worker", lease, METADATA, broken_off())
    assert files_in(settings) == sorted([video.id, before.id])
    await queue.work.report("worker", lease, COMPLETED)
    assert await read(queue, video.id, "360p") == b"rendition"


async def test_a_video_has_so_many_renditions_and_not_one_more(
    queue: Store, settings: Settings
) -> None:
    await upload(queue)
    lease = (await claim(queue)).lease
    for number in range(settings.limits.renditions):
        await publish(queue, lease, name=f"{number}")
    stored = files_in(settings)
    with pytest.raises(TooManyRenditions):
        await publish(queue, lease, name="one-more")
    with pytest.raises(TooManyRenditions):
        await queue.publishing.check(lease, METADATA)
    assert files_in(settings) == stored
    await publish(queue, lease, name="0")  # in the place of another


async def test_the_size_limit_is_met_to_the_byte(queue: Store, settings: Settings) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease
    limit = settings.limits.rendition_bytes
    with pytest.raises(TooLarge, match=str(limit)):
        await publish(queue, lease, b"x" * limit, b"y")
    assert files_in(settings) == [video.id]
    assert (await publish(queue, lease, b"x" * limit)).size_bytes == limit


async def test_renditions_count_towards_the_quota(queue: Store, settings: Settings) -> None:
    await upload(queue, b"x" * 3_000_000)
    await upload(queue, b"x" * 3_000_000)
    video = await upload(queue, b"x" * 2_500_000)
    leases = [(await claim(queue)).lease for _ in range(3)]
    stored = files_in(settings)
    with pytest.raises(StoreFull):
        await publish(queue, leases[2], b"x" * 1_500_001)
    assert files_in(settings) == stored
    await publish(queue, leases[2], b"x" * 1_500_000)
    with pytest.raises(StoreFull):
        await queue.publishing.check(leases[2], METADATA)
    await queue.library.delete(video.id, OWNER)
    await publish(queue, leases[0], b"x" * 2_000_000)
    assert queue.quota.used_bytes == bytes_in(settings) == 8_000_000


@folder_only
@pytest.mark.parametrize("call", ["write", "fsync"])
async def test_a_full_disk_refuses_and_all_else_goes_on(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What is there is read, completed and deleted."""
    kept_id = await completed(queue, one=b"to stay")
    gone = await upload(queue)
    lease = (await claim(queue)).lease
    await publish(queue, lease, name="before")
    stored = files_in(settings)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(StoreFull):
            await upload(queue)
        with pytest.raises(StoreFull):
            await publish(queue, lease)
        assert files_in(settings) == stored
        assert await read(queue, kept_id, "one") == b"to stay"
        await queue.work.report("worker", lease, COMPLETED)
        await queue.library.delete(gone.id, OWNER)
    assert queue.quota.used_bytes == bytes_in(settings)


@folder_only
async def test_the_last_of_the_disk_is_left_to_the_database(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting needs room in its journal, so uploads stop before the disk is full."""
    video = await upload(queue)
    disk = os.statvfs(settings.data)
    nearly_full = os.statvfs_result((*disk[:4], 1, *disk[5:]))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstatvfs", lambda _descriptor: nearly_full)
        with pytest.raises(StoreFull):
            await upload(queue)
        assert files_in(settings) == [video.id]
        await queue.library.delete(video.id, OWNER)
    await upload(queue)


async def test_a_rendition_whose_row_is_in_doubt_is_left_to_the_next_start(
    opened: Opened, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit was made and its answer lost."""
    publish_row = Leases.publish

    async def answer_lost(*arguments: object) -> None:
        await publish_row(*arguments)  # type: ignore[arg-type]
        raise CatalogUnavailable

    async with opened() as queue:
        video = await upload(queue)
        lease = (await claim(queue)).lease
        with monkeypatch.context() as patched:
            patched.setattr(Leases, "publish", answer_lost)
            with pytest.raises(CatalogUnavailable):
                await publish(queue, lease, b"in doubt")
    async with opened() as queue:
        assert queue.quota.used_bytes == bytes_in(settings)
        await queue.work.report("worker", lease, COMPLETED)
        assert await read(queue, video.id, "360p") == b"in doubt"


async def test_a_cancelled_report_still_removes_the_files(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = await upload(queue)
    lease = (await claim(queue)).lease
    await publish(queue, lease)
    reporting, go_on = asyncio.Event(), asyncio.Event()
    report = Leases.report

    async def slow(*arguments: object) -> object:
        result = await report(*arguments)  # type: ignore[arg-type]
        reporting.set()
        await go_on.wait()
        return result

    monkeypatch.setattr(Leases, "report", slow)
    task = asyncio.create_task(queue.work.report("worker", lease, FAILED))
    await reporting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await until(lambda: files_in(settings) == [video.id])


@folder_only
async def test_the_start_sweeps_renditions_that_nobody_knows(
    opened: Opened, settings: Settings
) -> None:
    async with opened() as queue:
        video_id = await completed(queue, one=b"to stay")
        stored = files_in(settings)
    (settings.data / "renditions" / "orphan").write_bytes(b"without a row")
    async with opened() as queue:
        assert files_in(settings) == stored
        assert await read(queue, video_id, "one") == b"to stay"


@folder_only
async def test_a_rendition_deleted_while_it_is_read_is_read_to_its_end(
    queue: Store, settings: Settings
) -> None:
    video_id = await completed(queue, one=b"x" * 600_000)
    async with queue.library.reading_rendition(video_id, "one", 0, None) as (_, chunks):
        first = await anext(chunks)
        await queue.library.delete(video_id, OWNER)
        assert files_in(settings) == []
        assert len(first) + sum([len(chunk) async for chunk in chunks]) == 600_000


@folder_only
async def test_a_lost_rendition_is_called_lost(queue: Store, settings: Settings) -> None:
    video_id = await completed(queue, one=b"1")
    (rendition,) = (await queue.library.get(video_id)).renditions
    (settings.data / "renditions" / rendition.id).unlink()
    with pytest.raises(BytesLost):
        await read(queue, video_id, "one")


async def test_an_invented_lease_publishes_nothing(queue: Store) -> None:
    lease = (await upload(queue), await claim(queue))[1].lease
    for invented in (Lease(lease.video_id, lease.token + 1), Lease("", 0), Lease("x", lease.token)):
        with pytest.raises(LeaseLost):
            await queue.publishing.check(invented, METADATA)
        with pytest.raises(LeaseLost):
            await queue.publishing.receive("worker", invented, METADATA, chunks_of(b"x"))
