"""A later version changes the tables of an earlier one: once and whole, also by several at once."""

import asyncio

import pytest
from sqlalchemy import Connection, inspect, text

from runtime.errors import StartError
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.storage.ballast import Ballast
from video_queue.storage.database import Database
from video_queue.storage.migrations import prepare_schema
from video_queue.storage.settings import Settings


def add_language(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE videos ADD COLUMN language VARCHAR(8)"))


def spoil(connection: Connection) -> None:
    connection.execute(text("DROP TABLE turns"))
    raise ZeroDivisionError


def columns(connection: Connection) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns("videos")}


def version(connection: Connection) -> int:
    return int(connection.execute(text("SELECT version FROM schema_version")).scalar_one())


async def test_what_is_due_is_done_once(settings: Settings) -> None:
    settings.data.mkdir()
    opened = Database.opened(settings.database_url, ShieldedTasks(), Ballast(settings.data))
    async with opened as database:
        assert await database.read(version) == 1
        later = [add_language]
        await asyncio.gather(
            *(database.write(lambda c: prepare_schema(c, later)) for _ in range(4))
        )
        assert "language" in await database.read(columns)
        assert await database.read(version) == 2
        with pytest.raises(StartError, match="version 2 and this program needs 1"):
            await database.write(prepare_schema)


async def test_one_that_fails_has_changed_nothing(settings: Settings) -> None:
    settings.data.mkdir()
    opened = Database.opened(settings.database_url, ShieldedTasks(), Ballast(settings.data))
    async with opened as database:
        with pytest.raises(ZeroDivisionError):
            await database.write(lambda c: prepare_schema(c, [add_language, spoil]))
        assert "language" not in await database.read(columns)
        assert await database.read(version) == 1
        assert await database.read(lambda c: inspect(c).has_table("turns"))


async def test_a_new_database_has_the_newest_version(settings: Settings) -> None:
    """Its tables are made as they are now: there is nothing to migrate."""
    settings.data.mkdir()
    opened = Database.opened(settings.database_url, ShieldedTasks(), Ballast(settings.data))
    async with opened as database:

        def from_nothing(connection: Connection) -> None:
            for table in reversed(inspect(connection).get_table_names()):
                cascade = " CASCADE" if connection.dialect.name == "postgresql" else ""
                connection.execute(text(f"DROP TABLE {table}{cascade}"))
            prepare_schema(connection, [spoil])

        await database.write(from_nothing)
        assert await database.read(version) == 2
