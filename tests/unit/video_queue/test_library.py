"""Listing, watching, reading and deleting what is stored."""

import asyncio
import random
from contextlib import aclosing

import pytest

from tests.unit.video_queue.conftest import OWNER, Clock, files_in, folder_only, publish, upload
from video_queue.domain.errors import (
    BytesLost,
    NotTheOwner,
    RangeNotSatisfiable,
    ShuttingDown,
    VideoNotFound,
)
from video_queue.domain.videos import Report, VideoStatus
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store


async def titles_by_page(queue: Store, page_size: int) -> list[list[str]]:
    pages, position = [], None
    while True:
        videos, position = await queue.library.page(page_size, position)
        pages.append([video.title for video in videos])
        if position is None:
            return pages


async def test_a_list_is_newest_first_by_pages(queue: Store) -> None:
    for number in range(5):
        await upload(queue, title=f"{number}")
    assert await titles_by_page(queue, 2) == [["4", "3"], ["2", "1"], ["0"]]
    assert await titles_by_page(queue, 5) == [["4", "3", "2", "1", "0"]]


async def test_a_page_of_long_texts_has_fewer_videos(queue: Store) -> None:
    """A description of 5000 characters may have 20 kB: the 200 of a page would have 4 MB."""
    for number in range(30):
        await upload(queue, title=f"{number}", description="\N{CLAPPER BOARD}" * 4096)
    pages = await titles_by_page(queue, 200)
    assert [len(page) for page in pages] == [15, 15]
    assert [title for page in pages for title in page] == [
        f"{number}" for number in reversed(range(30))
    ]


async def test_the_order_does_not_follow_a_clock_that_goes_back(queue: Store, clock: Clock) -> None:
    for number in range(3):
        await upload(queue, title=f"{number}")
        clock.advance(-3600)
    assert await titles_by_page(queue, 3) == [["2", "1", "0"]]


async def test_pages_stay_right_while_videos_come_and_go(queue: Store) -> None:
    """Every video that is there all the time is met once; the one at the position may go."""
    chance = random.Random(2)  # noqa: S311  no secret is made of it
    stable = {(await upload(queue, title=f"stable {number}")).title for number in range(6)}
    passing = [await upload(queue, title=f"passing {number}") for number in range(6)]
    met, position = [], None
    while True:
        videos, position = await queue.library.page(2, position)
        met += [video.title for video in videos]
        await upload(queue, title="new")
        if passing:
            gone = passing.pop(chance.randrange(len(passing)))
            await queue.library.delete(gone.id, OWNER)
        if position is None:
            break
    assert sorted(title for title in met if title in stable) == sorted(stable)
    assert len(met) == len(set(met))
    assert "new" not in met


async def test_the_number_of_a_deleted_video_is_not_given_again(queue: Store) -> None:
    """Otherwise a new video could slip in behind a page that was already read."""
    await upload(queue, title="old")
    deleted = [await upload(queue, title="deleted") for _ in range(2)]
    _, position = await queue.library.page(1, None)
    for video in deleted:
        await queue.library.delete(video.id, OWNER)
    await upload(queue, title="new")
    videos, _ = await queue.library.page(9, position)
    assert [video.title for video in videos] == ["old"]


@pytest.mark.parametrize("video_id", ["", "../../etc/passwd", "x" * 100_000, "a'b"])
async def test_an_unknown_id_is_not_found(queue: Store, video_id: str) -> None:
    await upload(queue)
    with pytest.raises(VideoNotFound):
        await queue.library.get(video_id)
    with pytest.raises(VideoNotFound):
        await queue.library.delete(video_id, OWNER)


async def read(queue: Store, video_id: str, offset: int, length: int | None) -> bytes:
    async with queue.library.reading(video_id, offset, length) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def test_a_range_is_read_across_the_borders_of_chunks(queue: Store) -> None:
    content = random.Random(1).randbytes(700_000)  # noqa: S311
    video = await upload(queue, content)
    for offset, length in [(0, None), (0, 1), (262_143, 2), (699_999, 5), (1, 600_000), (5, 0)]:
        end = None if length is None else offset + length
        assert await read(queue, video.id, offset, length) == content[offset:end]
    with pytest.raises(RangeNotSatisfiable):
        await read(queue, video.id, 700_000, None)


@folder_only
async def test_a_video_deleted_while_it_is_read_is_read_to_its_end(
    queue: Store, settings: Settings
) -> None:
    video = await upload(queue, b"x" * 600_000)
    async with queue.library.reading(video.id, 0, None) as (_, chunks):
        first = await anext(chunks)
        await queue.library.delete(video.id, OWNER)
        assert files_in(settings) == []
        assert len(first) + sum([len(chunk) async for chunk in chunks]) == 600_000


@folder_only
async def test_a_lost_file_is_called_lost(queue: Store, settings: Settings) -> None:
    gone, short = await upload(queue), await upload(queue, b"0123456789")
    (settings.data / "sources" / gone.id).unlink()
    (settings.data / "sources" / short.id).write_bytes(b"01234")
    for video in (gone, short):
        with pytest.raises(BytesLost):
            await read(queue, video.id, 0, None)


async def test_only_the_owner_deletes(queue: Store, settings: Settings) -> None:
    video = await upload(queue)
    with pytest.raises(NotTheOwner):
        await queue.library.delete(video.id, OWNER + "-2")
    assert files_in(settings) == [video.id]
    await queue.library.delete(video.id, OWNER)
    assert files_in(settings) == []
    with pytest.raises(VideoNotFound):
        await queue.library.get(video.id)


async def test_a_watcher_sees_each_change_until_the_end(queue: Store) -> None:
    video = await upload(queue)
    seen = []
    async with aclosing(queue.library.watch(video.id)) as videos:
        seen.append(await anext(videos))
        claim = await queue.work.claim("worker", 0)
        assert claim
        seen.append(await anext(videos))
        for percent in (10, 20):
            await queue.work.report(
                "worker", claim.lease, Report(VideoStatus.PROCESSING, percent, "")
            )
            seen.append(await anext(videos))
        await publish(queue, claim.lease)
        await queue.work.report("worker", claim.lease, Report(VideoStatus.COMPLETED, 100, ""))
        seen += [video async for video in videos]
    assert [(video.status.value, video.progress_percent) for video in seen] == [
        ("pending", 0),
        ("processing", 0),
        ("processing", 10),
        ("processing", 20),
        ("completed", 100),
    ]


async def test_a_slow_watcher_gets_the_latest_state(queue: Store) -> None:
    video = await upload(queue)
    async with aclosing(queue.library.watch(video.id)) as videos:
        await anext(videos)
        claim = await queue.work.claim("worker", 0)
        assert claim
        for percent in range(0, 100, 10):
            await queue.work.report(
                "worker", claim.lease, Report(VideoStatus.PROCESSING, percent, "")
            )
        assert (await anext(videos)).progress_percent == 90


async def test_a_watcher_is_told_of_the_deletion(queue: Store) -> None:
    video = await upload(queue)
    async with aclosing(queue.library.watch(video.id)) as videos:
        await anext(videos)
        await queue.library.delete(video.id, OWNER)
        with pytest.raises(VideoNotFound):
            await anext(videos)


async def test_a_watcher_is_sent_away_at_the_end(queue: Store) -> None:
    video = await upload(queue)
    async with aclosing(queue.library.watch(video.id)) as videos:
        await anext(videos)
        queue.notifier.close()
        with pytest.raises(ShuttingDown):
            await anext(videos)
    with pytest.raises(ShuttingDown):
        await anext(queue.library.watch(video.id))


async def test_a_watcher_that_is_cancelled_frees_everything(queue: Store) -> None:
    video = await upload(queue)
    waiting = asyncio.Event()

    async def watch() -> None:
        async for _ in queue.library.watch(video.id):
            waiting.set()

    task = asyncio.create_task(watch())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert queue.notifier.subscribers == 0
