"""The connection to the database: SQLite in the data folder, or another by its URL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from video_queue.ballast import Ballast
from video_queue.errors import CatalogUnavailable, StoreFull
from video_queue.schema import prepare_schema
from video_queue.unbroken import Unbroken

_Result = TypeVar("_Result")

_CONNECTIONS: Final = 8
_WAIT_SECONDS: Final = 10

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",  # readers and the writer do not wait for each other
    "PRAGMA synchronous = FULL",  # NORMAL loses commits in a power cut; an acknowledgement may not
    f"PRAGMA busy_timeout = {_WAIT_SECONDS * 1000}",  # for a backup or a shell next to us
    "PRAGMA foreign_keys = ON",
)
_BEGIN: Final = "begin"


class Database:
    """Runs reads and writes; a write ends as a whole even if its caller goes away."""

    def __init__(self, engine: AsyncEngine, unbroken: Unbroken, ballast: Ballast) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        if is_sqlite:
            _set_up_sqlite(engine)
        self._engine = engine
        # A transaction that reads first and writes then would fail halfway if another had written
        # between. IMMEDIATE takes its turn at the beginning (https://sqlite.org/lang_transaction.html).
        self._writer = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        # SQLite has one writer at a time, and lets the others poll: here they queue.
        self._turn = asyncio.Semaphore(1 if is_sqlite else _CONNECTIONS)
        self._unbroken = unbroken
        self._ballast = ballast

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, unbroken: Unbroken, ballast: Ballast) -> AsyncIterator[Self]:
        """Yield the database with its tables made. Raises `StartError` or `CatalogUnavailable`."""
        engine = create_async_engine(
            url, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=_WAIT_SECONDS
        )
        try:
            database = cls(engine, unbroken, ballast)
            await database.write(prepare_schema)
            yield database
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection to read from. Raises `CatalogUnavailable`."""
        with _database_errors():
            async with self._engine.begin() as connection:
                yield connection

    async def write(self, work: Callable[[AsyncConnection], Awaitable[_Result]]) -> _Result:
        """Do `work` in one transaction. Raises `CatalogUnavailable` or `StoreFull`."""
        return await self._unbroken.run(self._write(work))

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[_Result]]) -> _Result:
        if not self._ballast.is_loaded:
            await asyncio.to_thread(self._ballast.load)
        try:
            return await self._transaction(work)
        except StoreFull:
            if not self._ballast.is_loaded:
                raise
            await asyncio.to_thread(self._ballast.drop)
            return await self._transaction(work)

    async def _transaction(self, work: Callable[[AsyncConnection], Awaitable[_Result]]) -> _Result:
        with _database_errors():
            async with self._turn, self._writer.begin() as connection:
                return await work(connection)


def _set_up_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # Python's own driver would begin transactions late, and not before a SELECT at all:
        # SQLAlchemy's documentation of its SQLite dialect, "Transactions with SQLite".
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        if isinstance(error, DBAPIError) and _is_disk_full(error.orig):
            raise StoreFull from error
        raise CatalogUnavailable from error


def _is_disk_full(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
