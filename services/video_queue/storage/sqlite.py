"""SQLite in the data folder: the default, with nothing to install."""

import sqlite3
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

from video_queue.domain.notifier import Notifier

CONNECTIONS: Final = 8
WAIT_SECONDS: Final = 10

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",  # readers and the writer do not wait for each other
    "PRAGMA synchronous = FULL",  # NORMAL loses commits in a power cut; an acknowledgement may not
    f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}",  # for a backup or a shell next to us
    "PRAGMA foreign_keys = ON",
)
_BEGIN: Final = "begin"


class Sqlite:
    """An engine of one file."""

    is_shared: Final = False
    # SQLite has one writer at a time, and lets the others poll: so they queue before it.
    writers: Final = 1

    def __init__(self, url: URL) -> None:
        self.engine: Final = create_engine(
            url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_SECONDS
        )
        _set_up(self.engine)
        self.reader: Final = self.engine
        # A transaction that reads first and writes then would fail halfway if another had written
        # between. IMMEDIATE takes its turn at the beginning (https://sqlite.org/lang_transaction.html).
        self.writer: Final = self.engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    def is_disk_full(self, error: BaseException | None) -> bool:
        """Whether the driver's error says that there is no room."""
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL

    def followed_by(self, _notifier: Notifier) -> AbstractAsyncContextManager[None]:
        """Do nothing: there are no other queues."""
        return nullcontext()

    def is_undone(self, _error: BaseException | None) -> bool:
        """Whether the error says that the transaction may be tried again: never."""
        return False


def _set_up(engine: Engine) -> None:
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
