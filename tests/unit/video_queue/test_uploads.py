"""An upload is stored whole, or leaves nothing behind."""

import asyncio
import dataclasses
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from runtime.errors import StartError
from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    bytes_in,
    chunks_of,
    files_in,
    folder_only,
    upload,
)
from video_queue.domain.errors import CatalogUnavailable, InvalidRequest, StoreFull, TooLarge
from video_queue.domain.videos import VideoStatus
from video_queue.storage import store
from video_queue.storage.catalog import Catalog
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

Opened = Callable[[], AbstractAsyncContextManager[Store]]


async def read(queue: Store, video_id: str) -> bytes:
    async with queue.library.reading(video_id, 0, None) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


async def test_an_acknowledged_upload_is_whole(queue: Store, clock: Clock) -> None:
    parts = [os.urandom(size) for size in (1, 256 * 1024, 1024 * 1024, 77)]
    video = await upload(queue, *parts)
    assert video == await queue.library.get(video.id)
    assert await read(queue, video.id) == b"".join(parts)
    assert video.sha256 == hashlib.sha256(b"".join(parts)).digest()
    assert video.size_bytes == sum(map(len, parts))
    assert (video.owner, video.title, video.status) == (OWNER, "a title", VideoStatus.PENDING)
    assert video.created_at == video.updated_at == clock.now


async def test_an_acknowledged_upload_survives_a_restart(opened: Opened) -> None:
    async with opened() as queue:
        video = await upload(queue, b"to stay")
    async with opened() as queue:
        assert await queue.library.get(video.id) == video
        assert await read(queue, video.id) == b"to stay"
        assert queue.quota.used_bytes == len(b"to stay")


@folder_only
async def test_file_and_folder_are_synced_before_the_row_is_written(
    queue: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, add = os.fsync, Catalog.add

    def recorded_fsync(descriptor: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    async def recorded_add(catalog: Catalog, *row: Any) -> None:
        events.append("row")
        await add(catalog, *row)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Catalog, "add", recorded_add)
    await upload(queue)
    assert events == ["sync file", "sync folder", "row"]


async def broken_off(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    raise ConnectionResetError


async def test_an_upload_that_breaks_off_leaves_nothing(queue: Store, settings: Settings) -> None:
    with pytest.raises(ConnectionResetError):
        await queue.uploads.receive(OWNER, METADATA, broken_off(b"half", b"of it"))
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0
    assert await queue.library.page(50, None) == ([], None)


@folder_only
async def test_a_cancelled_upload_leaves_nothing(queue: Store, settings: Settings) -> None:
    waiting, never = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        waiting.set()
        await never.wait()

    task = asyncio.create_task(queue.uploads.receive(OWNER, METADATA, chunks()))
    await waiting.wait()
    assert len(files_in(settings)) == 1
    assert queue.quota.used_bytes == 1_000_000
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0


async def test_an_upload_cancelled_while_it_is_made_to_last_is_whole_or_nothing(
    opened: Opened, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The acknowledgement is lost; what is listed is whole all the same."""
    at_the_row, go_on = asyncio.Event(), asyncio.Event()
    add = Catalog.add

    async def slow_add(catalog: Catalog, *row: Any) -> None:
        at_the_row.set()
        await go_on.wait()
        await add(catalog, *row)

    monkeypatch.setattr(Catalog, "add", slow_add)
    async with opened() as queue:
        task = asyncio.create_task(upload(queue, b"whole"))
        await at_the_row.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
    async with opened() as queue:
        videos, _ = await queue.library.page(50, None)
        assert [await read(queue, video.id) for video in videos] == [b"whole"]
        assert files_in(settings) == [videos[0].id]


async def test_an_upload_without_bytes_is_refused(queue: Store, settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match="no bytes"):
        await queue.uploads.receive(OWNER, METADATA, chunks_of())
    assert files_in(settings) == []


async def test_the_size_limit_is_met_to_the_byte(queue: Store, settings: Settings) -> None:
    limit = settings.limits.upload_bytes
    assert (await upload(queue, b"x" * limit)).size_bytes == limit
    stored = files_in(settings)
    with pytest.raises(TooLarge, match=str(limit)):
        await upload(queue, b"x" * limit, b"y")
    assert files_in(settings) == stored
    assert queue.quota.used_bytes == limit


async def test_the_limit_is_enforced_as_the_bytes_arrive(queue: Store) -> None:
    """An endless upload is cut off: its sender is not listened to until the end."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    with pytest.raises(TooLarge):
        await queue.uploads.receive(OWNER, METADATA, endless())


async def test_uploads_at_once_do_not_overshoot_the_quota(queue: Store, settings: Settings) -> None:
    """Five of 3 MB at once, where 10 MB fit, each in steps that take turns."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            await asyncio.sleep(0)
            yield b"x" * 100_000
            assert queue.quota.used_bytes <= settings.quota_bytes

    results = await asyncio.gather(
        *(queue.uploads.receive(OWNER, METADATA, chunks()) for _ in range(5)),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert {type(error) for error in refused} == {StoreFull}
    assert bytes_in(settings) == queue.quota.used_bytes
    assert queue.quota.used_bytes == 3_000_000 * (5 - len(refused))


async def test_deleting_makes_room(queue: Store, settings: Settings) -> None:
    videos = [await upload(queue, b"x" * 3_000_000) for _ in range(3)]
    with pytest.raises(StoreFull):
        await upload(queue, b"x" * 3_000_000)
    await queue.library.delete(videos[0].id, OWNER)
    await upload(queue, b"x" * 3_000_000)


@folder_only
@pytest.mark.parametrize("call", ["write", "fsync"])
async def test_a_full_disk_leaves_nothing(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(StoreFull):
            await upload(queue)
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0
    await upload(queue)


async def test_a_full_disk_under_the_database_leaves_nothing(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFull

    monkeypatch.setattr(Catalog, "add", full)
    with pytest.raises(StoreFull):
        await upload(queue)
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0


async def test_a_file_whose_row_is_in_doubt_is_left_to_the_next_start(
    opened: Opened, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit was made and its answer lost: to delete the file would be to lose a video."""
    add = Catalog.add

    async def answer_lost(catalog: Catalog, *row: Any) -> None:
        await add(catalog, *row)
        raise CatalogUnavailable

    monkeypatch.setattr(Catalog, "add", answer_lost)
    async with opened() as queue:
        with pytest.raises(CatalogUnavailable):
            await upload(queue, b"in doubt")
    async with opened() as queue:
        (video,), _ = await queue.library.page(50, None)
        assert await read(queue, video.id) == b"in doubt"


@folder_only
async def test_the_start_sweeps_what_a_crash_has_left(opened: Opened, settings: Settings) -> None:
    async with opened() as queue:
        video = await upload(queue, b"to stay")
    (settings.data / "incoming" / "half").write_bytes(b"half")
    (settings.data / "sources" / "orphan").write_bytes(b"without a row")
    async with opened():
        assert files_in(settings) == [video.id]


@folder_only
async def test_the_data_folder_belongs_to_one_process(queue: Store, opened: Opened) -> None:
    with pytest.raises(StartError, match="in use by another video queue"):
        async with opened():
            pass


@folder_only
async def test_folders_are_for_this_user_alone_whatever_the_umask(
    settings: Settings, clock: Clock
) -> None:
    """Those on the way to the data folder, too, if they had to be made."""
    deep = dataclasses.replace(settings, data=settings.data / "deep" / "inside")
    mask = os.umask(0)
    try:
        async with store.opened(deep, clock) as queue:
            await upload(queue)
    finally:
        os.umask(mask)
    folders = [settings.data, *(path for path in settings.data.rglob("*") if path.is_dir())]
    assert len(folders) == 6
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


@folder_only
async def test_files_are_for_this_user_alone(queue: Store, settings: Settings) -> None:
    video = await upload(queue)
    assert (settings.data / "sources" / video.id).stat().st_mode & 0o777 == 0o600
    assert (settings.data / "sources").stat().st_mode & 0o777 == 0o700
