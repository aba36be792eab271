"""What this server serves: `Settings` and `open_service`, all that the server knows of videos."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from mtls import IdentitySource

from runtime.errors import StartError
from video_queue.api.servicer import Servicer
from video_queue.domain.errors import CatalogUnavailable
from video_queue.domain.videos import Clock, utc_now
from video_queue.maintenance import Service
from video_queue.storage.settings import Settings
from video_queue.storage.store import opened
from videoqueue_api.v1.video_queue_pb2_grpc import add_VideoQueueServicer_to_server

__all__ = ["Settings", "open_service"]

_NAME: Final = "videoqueue.v1.VideoQueue"


@asynccontextmanager
async def open_service(
    settings: Settings, identity: IdentitySource | None = None, *, clock: Clock = utc_now
) -> AsyncIterator[Service]:
    """Yield the service of video_queue.proto, with its store open.

    `identity` is shown to PostgreSQL and to an object store: without one, there are only SQLite
    and a folder.

    Raises `StartError`.
    """
    try:
        async with opened(settings, clock, identity) as store:
            servicer = Servicer(store, settings)
            yield Service(
                _NAME,
                lambda server: add_VideoQueueServicer_to_server(servicer, server),
                maintain=store.maintain,
                stop_waiting=store.notifier.close,
            )
    except CatalogUnavailable as error:
        raise StartError(str(error)) from error
