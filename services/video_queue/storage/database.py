"""The connection to the database: SQLite in the data folder, or another by its URL.

A transaction runs as a whole in a thread, so what it does is written without `await`. With a driver
for asyncio every statement goes to a thread and back: to read a video took twice as much CPU
(docs/performance.md).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from video_queue.domain.errors import CatalogUnavailable, StoreFull
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.storage.ballast import Ballast
from video_queue.storage.schema import prepare_schema

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

    def __init__(self, engine: Engine, shielded: ShieldedTasks, ballast: Ballast) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        if is_sqlite:
            _set_up_sqlite(engine)
        self._engine = engine
        # A transaction that reads first and writes then would fail halfway if another had written
        # between. IMMEDIATE takes its turn at the beginning (https://sqlite.org/lang_transaction.html).
        self._writer = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        # SQLite has one writer at a time, and lets the others poll: here they queue.
        self._turn = asyncio.Semaphore(1 if is_sqlite else _CONNECTIONS)
        # One for each connection. Those of asyncio write files, and may all wait for a slow disk.
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="database")
        self._shielded = shielded
        self._ballast = ballast

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, shielded: ShieldedTasks, ballast: Ballast
    ) -> AsyncIterator[Self]:
        """Yield the database with its tables made. Raises `StartError` or `CatalogUnavailable`."""
        engine = create_engine(
            url, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=_WAIT_SECONDS
        )
        database = cls(engine, shielded, ballast)
        try:
            await database.write(prepare_schema)
            yield database
        finally:
            await asyncio.to_thread(database.close)

    def close(self) -> None:
        """Wait for what is under way and close the connections. Blocks."""
        self._threads.shutdown()
        self._engine.dispose()

    async def read(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do `work`, which only reads, in one transaction. Raises `CatalogUnavailable`."""
        return await self._transaction(self._engine, work)

    async def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do `work` in one transaction. Raises `CatalogUnavailable` or `StoreFull`."""
        return await self._shielded.run(self._write(work))

    async def _write(self, work: Callable[[Connection], _Result]) -> _Result:
        if not self._ballast.is_loaded:
            await asyncio.to_thread(self._ballast.load)
        try:
            return await self._in_turn(work)
        except StoreFull:
            if not self._ballast.is_loaded:
                raise
            await asyncio.to_thread(self._ballast.drop)
            return await self._in_turn(work)

    async def _in_turn(self, work: Callable[[Connection], _Result]) -> _Result:
        async with self._turn:
            return await self._transaction(self._writer, work)

    async def _transaction(self, engine: Engine, work: Callable[[Connection], _Result]) -> _Result:
        def run() -> _Result:
            with _database_errors(), engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # Python's own driver would begin transactions late, and not before a SELECT at all:
        # SQLAlchemy's documentation of its SQLite dialect, "Transactions with SQLite".
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
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
