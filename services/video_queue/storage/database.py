"""The connection to the database: SQLite in the data folder, or PostgreSQL by its URL.

A transaction runs as a whole in a thread, so what it does is written without `await`. With a driver
for asyncio every statement goes to a thread and back: to read a video took twice as much CPU
(docs/performance.md).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Final, Protocol, Self, TypeVar

from mtls import IdentitySource

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from runtime.errors import StartError
from video_queue.domain.errors import CatalogUnavailable, StoreFull
from video_queue.domain.notifier import Notifier
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.storage.ballast import Ballast
from video_queue.storage.database_url import POSTGRESQL, parse_database_url
from video_queue.storage.migrations import prepare_schema
from video_queue.storage.sqlite import CONNECTIONS, Sqlite

_Result = TypeVar("_Result")

_ATTEMPTS: Final = 5


class Backend(Protocol):
    """What differs between databases: sqlite.py and postgresql.py."""

    @property
    def is_shared(self) -> bool:
        """Whether other queues may use it too."""

    @property
    def writers(self) -> int:
        """How many transactions may write at once."""

    @property
    def engine(self) -> Engine:
        """The pool."""

    @property
    def reader(self) -> Engine:
        """The engine for transactions that only read: all they see is of one moment."""

    @property
    def writer(self) -> Engine:
        """The engine for all others."""

    def is_disk_full(self, error: BaseException | None) -> bool:
        """Whether the driver's error says that there is no room."""

    def is_undone(self, error: BaseException | None) -> bool:
        """Whether it says that the transaction was undone, and may be tried again."""

    def followed_by(self, notifier: Notifier) -> AbstractAsyncContextManager[None]:
        """Tell `notifier` what other queues change, while the body runs."""


class Database:
    """Runs reads and writes; a write ends as a whole even if its caller goes away."""

    def __init__(self, backend: Backend, shielded: ShieldedTasks, ballast: Ballast | None) -> None:
        self._backend = backend
        self._turn = asyncio.Semaphore(backend.writers)
        # One for each connection. Those of asyncio write files, and may all wait for a slow disk.
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="database")
        self._shielded = shielded
        self._ballast = ballast

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        url: str,
        shielded: ShieldedTasks,
        ballast: Ballast,
        identity: IdentitySource | None = None,
    ) -> AsyncIterator[Self]:
        """Yield the database with its tables made; PostgreSQL is shown `identity`.

        Raises `StartError`.
        """
        backend = _backend_of(url, identity)
        # PostgreSQL has a disk of its own.
        database = cls(backend, shielded, None if backend.is_shared else ballast)
        try:
            await _prepared(database)
            yield database
        finally:
            await asyncio.to_thread(database.close)

    @property
    def is_shared(self) -> bool:
        """Whether other queues may use this database too."""
        return self._backend.is_shared

    def followed_by(self, notifier: Notifier) -> AbstractAsyncContextManager[None]:
        """Tell `notifier` what other queues change, while the body runs."""
        return self._backend.followed_by(notifier)

    def close(self) -> None:
        """Wait for what is under way and close the connections. Blocks."""
        self._threads.shutdown()
        self._backend.engine.dispose()

    async def read(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do `work`, which only reads, in one transaction. Raises `CatalogUnavailable`."""
        return await self._transaction(self._backend.reader, work)

    async def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do `work` in one transaction. Raises `CatalogUnavailable` or `StoreFull`.

        PostgreSQL may have it done again, after an attempt that has left nothing.
        """
        return await self._shielded.run(self._write(work))

    async def _write(self, work: Callable[[Connection], _Result]) -> _Result:
        ballast = self._ballast
        if ballast is None:
            return await self._in_turn(work)
        if not ballast.is_loaded:
            await asyncio.to_thread(ballast.load)
        try:
            return await self._in_turn(work)
        except StoreFull:
            if not ballast.is_loaded:
                raise
            await asyncio.to_thread(ballast.drop)
            return await self._in_turn(work)

    async def _in_turn(self, work: Callable[[Connection], _Result]) -> _Result:
        async with self._turn:
            return await self._transaction(self._backend.writer, work)

    async def _transaction(self, engine: Engine, work: Callable[[Connection], _Result]) -> _Result:
        def run() -> _Result:
            with self._database_errors():
                for _ in range(_ATTEMPTS - 1):
                    attempt = _Attempt(engine)
                    try:
                        return attempt.run(work)
                    except DBAPIError as error:
                        if not self._has_left_nothing(attempt, error):
                            raise
                return _Attempt(engine).run(work)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _has_left_nothing(self, attempt: "_Attempt", error: DBAPIError) -> bool:
        """Whether a transaction that has failed may be tried again.

        One that was lost at its commit may have been done: only the caller can find out.
        """
        if self._backend.is_undone(error.orig):
            return True
        return error.connection_invalidated and not attempt.commits

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            if isinstance(error, DBAPIError) and self._backend.is_disk_full(error.orig):
                raise StoreFull from error
            raise CatalogUnavailable from error


class _Attempt:
    """One try at a transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.commits = False

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        with self._engine.begin() as connection:
            result = work(connection)
            self.commits = True
        return result


def _backend_of(url: str, identity: IdentitySource | None) -> Backend:
    parsed = parse_database_url(url)
    if parsed.drivername != POSTGRESQL:
        return Sqlite(parsed)
    try:  # the driver is in an image of its own
        from video_queue.storage.postgresql import Postgresql
    except ImportError as error:
        raise StartError(
            f"{error.name} is not installed, which VIDEO_QUEUE_DATABASE_URL={POSTGRESQL}://... "
            "needs: install requirements/video-queue-scale-out.txt."
        ) from error
    return Postgresql(parsed, identity)


async def _prepared(database: Database) -> None:
    try:
        await database.write(prepare_schema)
    except CatalogUnavailable as error:
        cause = error.__cause__
        why = str(getattr(cause, "orig", None) or cause)
        raise StartError(
            f"The database does not let us in: {' '.join(why.split())[:500]}"
        ) from error
