"""PostgreSQL: for several queues at once, each with a certificate of its own to show.

What one writer at a time gave for nothing is said here, or where it is needed. Reads see one moment
(REPEATABLE READ). Writes see what is committed (READ COMMITTED) and lock the rows on which they
decide; what has no row yet is decided under a lock by name (sharing.py). A deadlock or a
serialization failure is tried again a few times, and so is a transaction whose connection was lost
before its commit.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

from mtls import IdentityError, IdentitySource
from mtls.drivers.libpq import LibpqFiles, libpq_files
from mtls.identity_source import Derived
from mtls.reporting.events import log_limited

import psycopg
from psycopg import errors
from sqlalchemy import URL, create_engine, event

from runtime.errors import StartError
from video_queue.domain.notifier import Notifier
from video_queue.storage.database_url import uses_socket
from video_queue.storage.sharing import CHANNEL, ORIGIN

CONNECTIONS: Final = 8
_WAIT_SECONDS: Final = 10
_PAUSE_SECONDS: Final = 0.5  # before the announcements are listened to again

# A connection shows the certificate that was in use when it was made. So it is closed at this age,
# long before the 24 hours of a certificate are over.
MAX_AGE_SECONDS: Final = 3600

_PARAMETERS: Final = {
    "application_name": "video-queue",
    "connect_timeout": "5",
    "target_session_attrs": "read-write",  # of several hosts the one that is no standby
    # A server that has vanished (power cut, lost network) is noticed in 25 seconds.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
    # Nobody waits for longer than a call does. A queue that was stopped within a transaction keeps
    # its locks no longer than that.
    "options": " ".join(
        f"-c {name}={_WAIT_SECONDS}s"
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    ),
}


class Postgresql:
    """An engine whose connections show the identity in use."""

    is_shared: Final = True
    writers: Final = CONNECTIONS

    def __init__(self, url: URL, identity: IdentitySource | None) -> None:
        self.engine: Final = create_engine(
            url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=_WAIT_SECONDS,
            pool_recycle=MAX_AGE_SECONDS,
            isolation_level="READ COMMITTED",
        )
        _, self._parameters = self.engine.dialect.create_connect_args(url)
        self._files = None if uses_socket(url) else _files_of(identity)
        self.reader: Final = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._origin = uuid.uuid4().hex
        self.writer: Final = self.engine.execution_options(**{ORIGIN: self._origin})

        @event.listens_for(self.engine, "do_connect")
        def on_connect(dialect: Any, *_: Any) -> Any:
            files, now = self._now()
            connection = dialect.connect(**now)
            del files  # they had to be there until now
            return connection

    def _now(self) -> tuple[LibpqFiles | None, dict[str, Any]]:
        """Return the parameters of a connection that is made now, and what to hold meanwhile."""
        files = self._files.value if self._files else None
        tls = files.parameters if files else {}
        return files, {**_PARAMETERS, **tls, **self._parameters}

    @asynccontextmanager
    async def followed_by(self, notifier: Notifier) -> AsyncIterator[None]:
        """Tell `notifier` what other queues change, while the body runs."""
        following = asyncio.create_task(self._keep_following(notifier))
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _keep_following(self, notifier: Notifier) -> NoReturn:
        while True:
            try:
                await self._follow(notifier)
            except (psycopg.Error, OSError) as error:
                # Who waits goes on waiting, and looks again when we are back.
                log_limited("announcements.lost", "", error=" ".join(str(error).split()))
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, notifier: Notifier) -> None:
        files, parameters = self._now()
        connection = await psycopg.AsyncConnection.connect(autocommit=True, **parameters)
        del files
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            notifier.notify_all()  # what was announced until now, nobody here has heard
            async for announcement in connection.notifies(timeout=MAX_AGE_SECONDS):
                origin, _, topic = announcement.payload.partition(" ")
                if origin != self._origin:  # of our own, the domain has told already
                    notifier.notify(topic)

    def is_disk_full(self, error: BaseException | None) -> bool:
        """Whether the driver's error says that there is no room."""
        return isinstance(error, errors.DiskFull)

    def is_undone(self, error: BaseException | None) -> bool:
        """Whether the error says that the transaction was undone, and may be tried again."""
        return isinstance(error, errors.SerializationFailure | errors.DeadlockDetected)


def _files_of(identity: IdentitySource | None) -> Derived[LibpqFiles]:
    if identity is None:
        raise StartError("PostgreSQL is reached with a certificate: give an identity.")
    try:
        return libpq_files(identity)
    except IdentityError as error:
        raise StartError(
            f"PostgreSQL would refuse our certificate. {error} The queue is a client of its "
            'database: its identity needs use = ["server", "client"].'
        ) from error
