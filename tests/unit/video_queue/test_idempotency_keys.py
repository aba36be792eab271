"""An upload with an idempotency key is safe to repeat: its video is stored once."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError

from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    chunks_of,
    claim,
    files_in,
    publish,
)
from tests.unit.video_queue.test_servicer import FOR_OWNER, failure, parts, send
from tests.unit.video_queue.test_servicer import upload as upload_over_grpc
from video_queue.domain.errors import KeyInUse, KeyUsed, StoreFull
from video_queue.domain.videos import Metadata, Report, Video, VideoStatus
from video_queue.storage.catalog import Catalog
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

Opened = Callable[[], AbstractAsyncContextManager[Store]]

KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
KEYED = dataclasses.replace(METADATA, idempotency_key=KEY)
DAY = 24 * 60 * 60


async def upload(
    queue: Store, content: bytes = b"bytes", metadata: Metadata = KEYED, owner: str = OWNER
) -> Video:
    """Upload as the servicer does: first ask, then send."""
    await queue.uploads.check(owner, metadata)
    return await queue.uploads.receive(owner, metadata, chunks_of(content[:2], content[2:]))


async def stored(queue: Store) -> list[Video]:
    videos, _ = await queue.library.page(50, None)
    return videos


def database(settings: Settings) -> Engine:
    return create_engine(settings.database_url, poolclass=NullPool)


def rows_of_keys(settings: Settings) -> int:
    with database(settings).begin() as connection:
        return int(connection.execute(text("SELECT count(*) FROM upload_keys")).scalar_one())


async def test_a_repeat_is_answered_with_the_same_video(queue: Store, settings: Settings) -> None:
    first = await upload(queue)
    assert await upload(queue) == first
    assert await stored(queue) == [first]
    assert files_in(settings) == [first.id]
    assert queue.quota.used_bytes == len(b"bytes")


async def test_uploads_without_a_key_are_two(queue: Store, settings: Settings) -> None:
    first, second = await upload(queue, metadata=METADATA), await upload(queue, metadata=METADATA)
    assert await stored(queue) == [second, first]
    assert rows_of_keys(settings) == 0


async def test_a_repeat_shows_the_video_as_it_is_by_now(queue: Store) -> None:
    await upload(queue)
    lease = (await claim(queue)).lease
    await publish(queue, lease)
    await queue.work.report("worker", lease, Report(VideoStatus.COMPLETED, 100, ""))
    repeated = await upload(queue)
    assert repeated.status is VideoStatus.COMPLETED
    assert [rendition.name for rendition in repeated.renditions] == ["360p"]


@pytest.mark.parametrize("content", [b"byte", b"bytes!", b"bites", b"b"])
async def test_the_key_of_other_bytes_is_refused(
    queue: Store, settings: Settings, content: bytes
) -> None:
    first = await upload(queue)
    await queue.uploads.check(OWNER, KEYED)  # so far it could be a repeat
    with pytest.raises(KeyUsed):
        await queue.uploads.receive(OWNER, KEYED, chunks_of(content))
    assert await stored(queue) == [first]
    assert files_in(settings) == [first.id]


async def test_bytes_that_are_too_many_are_not_all_read(queue: Store) -> None:
    await upload(queue)

    async def longer() -> AsyncIterator[bytes]:
        yield b"bytes"
        yield b"!"
        pytest.fail("Read on after it was clear.")

    with pytest.raises(KeyUsed):
        await queue.uploads.receive(OWNER, KEYED, longer())


@pytest.mark.parametrize("field", ["title", "description", "content_type"])
async def test_the_key_of_other_fields_is_refused_before_the_first_byte(
    queue: Store, field: str
) -> None:
    first = await upload(queue)
    changed: dict[str, Any] = {field: "video/other"}
    other = dataclasses.replace(KEYED, **changed)
    with pytest.raises(KeyUsed):
        await queue.uploads.check(OWNER, other)
    with pytest.raises(KeyUsed):
        await queue.uploads.receive(OWNER, other, chunks_of(b"bytes"))
    assert await stored(queue) == [first]


async def test_each_owner_has_keys_of_their_own(queue: Store) -> None:
    """Nobody gets to see, by guessing a key, what another has uploaded."""
    first = await upload(queue)
    other = await upload(queue, owner="spiffe://video-demo.test/console")
    assert await stored(queue) == [other, first]
    assert other.owner != first.owner


async def test_while_the_first_is_under_way_a_repeat_is_refused(queue: Store) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go_on.wait()
        yield b"bytes"

    first = asyncio.create_task(queue.uploads.receive(OWNER, KEYED, slow()))
    await begun.wait()
    with pytest.raises(KeyInUse):
        await queue.uploads.check(OWNER, KEYED)
    with pytest.raises(KeyInUse):
        await queue.uploads.receive(OWNER, KEYED, chunks_of(b"bytes"))
    await upload(queue, metadata=dataclasses.replace(KEYED, idempotency_key="another"))
    go_on.set()
    video = await first
    assert await upload(queue) == video


async def test_what_was_not_stored_is_not_remembered(queue: Store, settings: Settings) -> None:
    async def broken_off() -> AsyncIterator[bytes]:
        yield b"by"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await queue.uploads.receive(OWNER, KEYED, broken_off())
    assert rows_of_keys(settings) == 0
    video = await upload(queue, b"other bytes")
    assert await stored(queue) == [video]


async def test_the_catalog_lets_one_in_when_two_come_to_their_end(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first client goes away while its video is being recorded, and comes back at once."""
    at_the_row: asyncio.Queue[None] = asyncio.Queue()
    go_on = asyncio.Event()
    add = Catalog.add

    async def slow_add(catalog: Catalog, *row: Any) -> None:
        at_the_row.put_nowait(None)
        await go_on.wait()
        await add(catalog, *row)

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "add", slow_add)
        first = asyncio.create_task(upload(queue))
        await at_the_row.get()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(upload(queue))
        await at_the_row.get()
        go_on.set()
        with pytest.raises(KeyInUse):
            await second
    (video,) = await stored(queue)
    assert await upload(queue) == video
    assert files_in(settings) == [video.id]
    assert queue.quota.used_bytes == len(b"bytes")


async def test_key_and_video_are_stored_together_or_not_at_all(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await upload(queue, metadata=METADATA)
    with monkeypatch.context() as patched:
        patched.setattr(uuid, "uuid4", lambda: uuid.UUID(taken.id))
        with pytest.raises(IntegrityError):
            await upload(queue)
    assert rows_of_keys(settings) == 0
    assert len({video.id for video in (taken, await upload(queue))}) == 2


async def test_a_repeat_needs_no_room(queue: Store) -> None:
    fits = dataclasses.replace(KEYED, size_limit_bytes=3_000_000)
    first = await upload(queue, b"x" * 3_000_000, fits)
    for _ in range(2):
        await upload(queue, b"x" * 3_000_000, METADATA)
    assert await upload(queue, b"x" * 3_000_000, fits) == first
    with pytest.raises(StoreFull):
        await upload(queue, b"x" * 3_000_000, dataclasses.replace(fits, idempotency_key="new"))


async def test_a_repeat_that_comes_late_does_not_bring_a_deleted_video_back(queue: Store) -> None:
    first = await upload(queue)
    await queue.library.delete(first.id, OWNER)
    with pytest.raises(KeyUsed, match="has been deleted"):
        await queue.uploads.check(OWNER, KEYED)
    with pytest.raises(KeyUsed, match="has been deleted"):
        await queue.uploads.receive(OWNER, KEYED, chunks_of(b"bytes"))
    assert await stored(queue) == []


async def test_a_key_survives_a_restart(opened: Opened) -> None:
    async with opened() as queue:
        first = await upload(queue)
    async with opened() as queue:
        assert await upload(queue) == first


async def test_a_key_is_known_for_a_day_and_then_dropped(
    queue: Store, settings: Settings, clock: Clock
) -> None:
    """Injected: a clock that goes forward. A clock that jumps by a day forgets all keys."""
    first = await upload(queue)
    clock.advance(DAY - 1)
    assert await upload(queue) == first
    clock.advance(1)
    second = await upload(queue)
    assert await stored(queue) == [second, first]
    clock.advance(DAY)
    await upload(queue, metadata=dataclasses.replace(KEYED, idempotency_key="another"))
    assert rows_of_keys(settings) == 1


async def test_a_database_from_before_there_were_keys_gets_them(
    opened: Opened, settings: Settings
) -> None:
    async with opened() as queue:
        old = await upload(queue, metadata=METADATA)
    with database(settings).begin() as connection:
        connection.execute(text("DROP TABLE upload_keys"))
    async with opened() as queue:
        new = await upload(queue)
        assert await upload(queue) == new
        assert await stored(queue) == [new, old]


# ---- Over a real connection ----


async def test_a_client_is_told_with_or_without_the_go_ahead(gateway: Any) -> None:
    first = await upload_over_grpc(gateway, b"bytes", idempotency_key=KEY)
    assert await upload_over_grpc(gateway, b"bytes", idempotency_key=KEY) == first

    call = gateway.Upload(metadata=FOR_OWNER)
    other_fields = parts(b"bytes", idempotency_key=KEY, title="another")
    await call.write(other_fields[0])
    assert "go-ahead" not in await call.initial_metadata()
    assert (await failure(call))[0] is grpc.StatusCode.ALREADY_EXISTS

    call = await send(gateway.Upload(metadata=FOR_OWNER), parts(b"bites", idempotency_key=KEY))
    assert "go-ahead" in await call.initial_metadata()
    assert (await failure(call))[0] is grpc.StatusCode.ALREADY_EXISTS


async def test_a_repeat_learns_that_the_first_is_under_way_before_its_first_byte(
    gateway: Any,
) -> None:
    messages = parts(b"bytes", idempotency_key=KEY)
    first, second = gateway.Upload(metadata=FOR_OWNER), gateway.Upload(metadata=FOR_OWNER)
    for message in messages[:2]:
        await first.write(message)
    assert "go-ahead" in await first.initial_metadata()
    await second.write(messages[0])
    assert "go-ahead" not in await second.initial_metadata()
    assert (await failure(second))[0] is grpc.StatusCode.ABORTED
    await first.write(messages[2])
    await first.done_writing()
    video = await first
    assert await upload_over_grpc(gateway, b"bytes", idempotency_key=KEY) == video


@pytest.mark.parametrize("key", ["a b", "ä", "x" * 256, "a\n"])
async def test_a_key_that_breaks_the_contract_is_refused(gateway: Any, key: str) -> None:
    call = await send(gateway.Upload(metadata=FOR_OWNER), parts(b"x", idempotency_key=key))
    code, details = await failure(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "idempotency key" in details
    await upload_over_grpc(gateway, b"x", idempotency_key="x" * 255)
