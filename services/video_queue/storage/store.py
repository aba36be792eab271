"""Everything below the transport, opened and closed in order."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from video_queue.config import Config
from video_queue.domain.library import Library
from video_queue.domain.notifier import Notifier
from video_queue.domain.publishing import Publishing
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.uploads import Uploads
from video_queue.domain.videos import Clock
from video_queue.domain.work import Work
from video_queue.storage.ballast import Ballast
from video_queue.storage.catalog import Catalog
from video_queue.storage.data_folder import locked
from video_queue.storage.database import Database
from video_queue.storage.files import Files
from video_queue.storage.incoming_files import IncomingFiles
from video_queue.storage.leases import Leases
from video_queue.storage.quota import Quota

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """What the servicer calls, and what is shared by its parts."""

    uploads: Uploads
    publishing: Publishing
    library: Library
    work: Work
    notifier: Notifier
    quota: Quota


@asynccontextmanager
async def opened(config: Config, clock: Clock) -> AsyncIterator[Store]:
    """Yield the store; at the end, finish what was begun and close the database.

    Raises `StartError` or `CatalogUnavailable`.
    """
    shielded = ShieldedTasks()
    with locked(config.data):
        async with Database.opened(config.database_url, shielded, Ballast(config.data)) as database:
            try:
                yield await _prepared(config, database, shielded, clock)
            finally:
                await shielded.finish()


async def _prepared(
    config: Config, database: Database, shielded: ShieldedTasks, clock: Clock
) -> Store:
    catalog = Catalog(database)
    leases = Leases(database, dt.timedelta(seconds=config.lease_seconds), config.max_attempts)
    quota = Quota(config.quota_bytes, await catalog.total_bytes())
    notifier = Notifier(config.max_waiting)
    sources = Files(config.data, "sources", quota)
    renditions = Files(config.data, "renditions", quota)
    swept = await sources.sweep(catalog.known_videos)
    swept += await renditions.sweep(catalog.known_renditions)
    if swept:
        _log.warning("files.swept", files=swept)
    incoming_files = IncomingFiles(quota, shielded, idle_seconds=config.idle_seconds)
    limits = config.limits
    return Store(
        Uploads(catalog, sources, incoming_files, quota, notifier, limits=limits, clock=clock),
        Publishing(leases, renditions, incoming_files, quota, limits=limits, clock=clock),
        Library(catalog, sources, renditions, notifier, shielded),
        Work(catalog, leases, sources, renditions, notifier, shielded, clock=clock),
        notifier,
        quota,
    )
