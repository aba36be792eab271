"""Everything below the transport, opened and closed in order."""

import asyncio
import datetime as dt
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mtls import IdentitySource
from mtls.reporting.events import log_limited

import structlog

from runtime.errors import StartError
from video_queue.domain.library import Library
from video_queue.domain.notifier import Notifier
from video_queue.domain.publishing import Publishing
from video_queue.domain.quota import Quota
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.uploads import Uploads
from video_queue.domain.videos import Clock
from video_queue.domain.work import Work
from video_queue.storage.ballast import Ballast
from video_queue.storage.catalog import Catalog
from video_queue.storage.database import Database
from video_queue.storage.files import Backend, Files, IsKnown
from video_queue.storage.folder import Folder
from video_queue.storage.leases import Leases
from video_queue.storage.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """What the servicer calls, and what its parts share."""

    uploads: Uploads
    publishing: Publishing
    library: Library
    work: Work
    notifier: Notifier
    quota: Quota
    shared: Catalog | None = None
    """The catalog, where other queues may change it too."""

    async def maintain(self) -> None:
        """Do what is to be done once a second."""
        await self.work.release_lost()
        if self.shared:
            self.quota.refresh(*await self.shared.used_bytes())


@asynccontextmanager
async def opened(
    settings: Settings, clock: Clock, identity: IdentitySource | None = None
) -> AsyncIterator[Store]:
    """Yield the store; at the end, finish what was begun and close the database.

    PostgreSQL and an object store are shown `identity`.

    Raises `StartError` or `CatalogUnavailable`.
    """
    shielded = ShieldedTasks()
    with _locked(settings.data) if settings.needs_data else nullcontext():
        async with (
            Database.opened(
                settings.database_url, shielded, Ballast(settings.data), identity
            ) as database,
            _backends(settings, identity) as backend,
            _prepared(settings, database, backend, shielded, clock) as store,
        ):
            try:
                async with database.followed_by(store.notifier):
                    yield store
            finally:
                await shielded.finish()


@asynccontextmanager
async def _backends(
    settings: Settings, identity: IdentitySource | None
) -> AsyncIterator[Callable[[str], Backend]]:
    """Yield what makes the backend of a kind of files, by name. Raises `StartError`."""
    if settings.bucket is None:
        yield partial(Folder, settings.data)
        return
    try:
        # Its libraries are in an image of their own.
        from video_queue.storage.bucket import connected
    except ImportError as error:
        raise StartError(
            f"{error.name} is not installed, which VIDEO_QUEUE_FILES=s3://... needs: "
            "install requirements/video-queue-scale-out.txt."
        ) from error
    if identity is None:
        raise StartError("An object store is reached with a certificate: give an identity.")
    async with connected(settings.bucket, identity) as backend:
        yield backend


@asynccontextmanager
async def _prepared(
    settings: Settings,
    database: Database,
    backend: Callable[[str], Backend],
    shielded: ShieldedTasks,
    clock: Clock,
) -> AsyncIterator[Store]:
    catalog = Catalog(database, settings.quota_bytes, settings.owner_quota_bytes)
    length = dt.timedelta(seconds=settings.lease_seconds)
    leases = Leases(database, length, settings.max_attempts, settings.quota_bytes)
    used_bytes, used_by = await catalog.used_bytes()
    quota = Quota(settings.quota_bytes, settings.owner_quota_bytes, used_bytes, used_by)
    notifier = Notifier()
    kinds = (backend("sources"), backend("renditions"))
    sources, renditions = (Files(each, quota, shielded) for each in kinds)
    limits = settings.limits
    store = Store(
        Uploads(catalog, sources, quota, notifier, limits=limits, clock=clock),
        Publishing(leases, renditions, quota, limits=limits, clock=clock),
        Library(catalog, sources, renditions, notifier, shielded),
        Work(catalog, leases, sources, renditions, notifier, shielded, clock=clock),
        notifier,
        quota,
        catalog if database.is_shared else None,
    )
    async with _swept(zip(kinds, (catalog.known_videos, catalog.known_renditions), strict=True)):
        yield store


@asynccontextmanager
async def _swept(kinds: Iterable[tuple[Backend, IsKnown]]) -> AsyncIterator[None]:
    """Delete what crashes have left: before the body runs, or again and again beside it."""
    beside = []
    for backend, is_known in kinds:
        if backend.sweep_seconds is None:
            await _sweep(backend, is_known)
        else:
            beside.append(asyncio.create_task(_keep_sweeping(backend, is_known)))
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _keep_sweeping(backend: Backend, is_known: IsKnown) -> None:
    while True:
        try:
            await _sweep(backend, is_known)
        except Exception as error:  # noqa: BLE001  the next one may succeed
            log_limited("sweep.failed", type(error).__name__, error=type(error).__name__)
        await asyncio.sleep(backend.sweep_seconds or 0)


async def _sweep(backend: Backend, is_known: IsKnown) -> None:
    if swept := await backend.sweep(is_known):
        _log.warning("files.swept", files=swept)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder if needed, and lock it. Raises `StartError` when another process has it.

    Each of two processes would remove the other's unfinished uploads at its start. The kernel
    releases the lock when the process ends, however it ends.
    """
    try:
        _make_private(folder)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"{folder} cannot be written ({error.strerror}): "
            "set VIDEO_QUEUE_DATA to a folder that belongs to this user."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(
                f"{folder} is in use by another video queue: "
                "stop that one, or set VIDEO_QUEUE_DATA to another folder."
            ) from error
        yield
    finally:
        os.close(descriptor)


def _make_private(folder: Path) -> None:
    """Make a folder for this user alone, and the parents that are missing likewise.

    `mkdir(parents=True)` gives its mode to the last one alone, and the umask to the others.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
