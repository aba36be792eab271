"""The database: durable, of a known version, and never read from end to end for one video."""

import asyncio
import dataclasses
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, event, text, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from runtime.errors import StartError
from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    chunks_of,
    claim,
    publish,
    upload,
)
from video_queue.domain.errors import CatalogUnavailable, StoreFull
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.videos import Report, VideoStatus
from video_queue.storage import store
from video_queue.storage.ballast import Ballast
from video_queue.storage.database import Database
from video_queue.storage.schema import schema_version
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    settings.data.mkdir()
    async with Database.opened(
        settings.database_url, ShieldedTasks(), Ballast(settings.data)
    ) as database:
        yield database


def version_in(connection: Connection) -> int:
    return int(connection.execute(schema_version.select()).scalar_one())


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 10_000), ("foreign_keys", 1)],
)
async def test_a_commit_survives_a_power_cut(
    database: Database, pragma: str, value: object
) -> None:
    """synchronous = FULL is 2: https://sqlite.org/pragma.html#pragma_synchronous"""
    query = text(f"PRAGMA {pragma}")
    assert await database.read(lambda c: c.execute(query).scalar_one()) == value


async def test_a_database_of_another_version_is_refused(settings: Settings, clock: Clock) -> None:
    async with store.opened(settings, clock):
        pass
    async with Database.opened(
        settings.database_url, ShieldedTasks(), Ballast(settings.data)
    ) as database:
        await database.write(lambda c: c.execute(update(schema_version).values(version=99)))
    with pytest.raises(StartError, match="version 99 and this program needs 1"):
        async with store.opened(settings, clock):
            pass


async def work_to_completion(queue: Store) -> None:
    """Of a second video, with everything that a worker and a reader ask for."""
    await upload(queue)
    lease = (await claim(queue)).lease
    await queue.work.beat("worker", lease, Report(VideoStatus.PROCESSING, 1, ""))
    await publish(queue, lease)
    await publish(queue, lease)
    await queue.work.report("worker", lease, Report(VideoStatus.COMPLETED, 100, ""))
    async with queue.library.reading_rendition(lease.video_id, "360p", 0, None):
        pass


async def upload_and_repeat(queue: Store) -> None:
    keyed = dataclasses.replace(METADATA, idempotency_key="key")
    for _ in range(2):
        await queue.uploads.receive(OWNER, keyed, chunks_of(b"bytes"))


@pytest.mark.database("sqlite")
async def test_no_query_of_a_call_reads_the_whole_table(
    queue: Store, monkeypatch: pytest.MonkeyPatch, settings: Settings, clock: Clock
) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN")):
            statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        video = await upload(queue)
        await queue.library.page(1, None)
        await queue.library.page(1, None)
        await claim(queue)
        clock.advance(settings.lease_seconds)
        await queue.work.claim("worker", 0)
        await work_to_completion(queue)
        await queue.library.page(1, None)
        await queue.library.delete(video.id, OWNER)
        await upload_and_repeat(queue)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) >= 8
    with closing(sqlite3.connect(settings.data / "video-queue.db")) as connection:
        for statement, parameters in statements:
            plan = connection.execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            steps = [row[3] for row in plan]
            in_order = "ORDER BY videos.number DESC" in statement  # stops at the end of the page
            # Has a row for each owner who waits, which are read and sorted: few, and not videos.
            of_owners = statement.startswith("WITH RECURSIVE waiting")
            scans = [step for step in steps if step.startswith("SCAN")]
            if of_owners:
                scans = [
                    step for step in scans if step not in {"SCAN waiting", "SCAN CONSTANT ROW"}
                ]
            assert in_order or not scans, (statement, steps)
            assert of_owners or not [step for step in steps if "TEMP B-TREE" in step], statement


@pytest.mark.database("sqlite")
async def test_a_write_that_is_begun_outlives_its_caller(database: Database) -> None:
    """One that is under way in its thread, and one that waits for its turn behind it."""
    begun, go_on = threading.Event(), threading.Event()

    def under_way(connection: Connection) -> None:
        connection.execute(update(schema_version).values(version=7))
        begun.set()
        assert go_on.wait(timeout=30)

    def waiting(connection: Connection) -> None:
        connection.execute(update(schema_version).values(version=schema_version.c.version + 1))

    callers = [asyncio.create_task(database.write(under_way))]
    assert await asyncio.to_thread(begun.wait, timeout=30)
    callers.append(asyncio.create_task(database.write(waiting)))
    await asyncio.sleep(0)  # it has begun to wait
    for caller in callers:
        caller.cancel()
    ends = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    go_on.set()
    await database.write(lambda c: c.execute(text("SELECT 1")))  # its turn comes after
    assert await database.read(version_in) == 8


@pytest.mark.database("sqlite")
async def test_writes_take_turns(database: Database) -> None:
    """Each reads and then writes; if two did so at once, one count would be lost."""

    def count(connection: Connection) -> None:
        found = version_in(connection)
        connection.execute(update(schema_version).values(version=found + 1))

    await asyncio.gather(*(database.write(count) for _ in range(20)))
    assert await database.read(version_in) == 21


@pytest.mark.database("sqlite")
async def test_another_program_cannot_write_in_the_middle_of_a_write(
    database: Database, settings: Settings
) -> None:
    """Or a transaction that has read would fail at its own write, with SQLITE_BUSY_SNAPSHOT."""

    def read_then_write(connection: Connection) -> None:
        version_in(connection)
        with (
            closing(sqlite3.connect(settings.data / "video-queue.db", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("UPDATE schema_version SET version = 9")
        connection.execute(update(schema_version).values(version=7))

    await database.write(read_then_write)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("code", "expected"),
    [(sqlite3.SQLITE_FULL, StoreFull), (sqlite3.SQLITE_IOERR, CatalogUnavailable)],
)
async def test_a_full_disk_is_told_from_other_trouble(
    database: Database, code: int, expected: type[Exception]
) -> None:
    def trouble(_connection: object) -> None:
        cause = sqlite3.OperationalError("trouble")
        cause.sqlite_errorcode = code
        raise OperationalError("INSERT", {}, cause)

    with pytest.raises(expected):
        await database.write(trouble)
    await database.write(lambda c: c.execute(text("SELECT 1")))  # the next turn is not blocked
