"""The routes about videos, and what they need: delete this folder, and the frame is left."""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from gateway.app import CONFIG, HEALTH_CHECKS, IDENTITY
from gateway.queue_client import QUEUE, QueueClient, open_channel
from gateway.shares import Share
from gateway.videos import handlers
from gateway.videos.files import DOWNLOADS
from gateway.videos.handlers import STREAMS, UPLOADS

# policy.py says who may call each, openapi.json what it takes and gives. A GET is a HEAD too.
ROUTES: Final = (
    web.post("/videos", handlers.upload_video, expect_handler=handlers.postpone_continue),
    web.get("/videos", handlers.list_videos),
    web.get("/videos/{id}", handlers.get_video),
    web.get("/videos/{id}/events", handlers.watch_video),
    web.get("/videos/{id}/source", handlers.get_source),
    web.get("/videos/{id}/renditions/{name}", handlers.get_rendition),
    web.get("/videos/{id}/thumbnail", handlers.get_thumbnail),
    web.delete("/videos/{id}", handlers.delete_video),
    web.get("/openapi.json", handlers.get_openapi),
)


def add_videos(app: web.Application) -> None:
    """Add the routes, the channel to the queue, and its health check."""
    app.add_routes(ROUTES)
    settings = app[CONFIG].videos
    app[UPLOADS] = Share("uploads", settings.max_uploads)
    app[DOWNLOADS] = Share("downloads", settings.max_downloads)
    app[STREAMS] = Share("streams of events", settings.max_streams)
    app.cleanup_ctx.append(_connect_queue)
    app[HEALTH_CHECKS].append(handlers.check_queue)


async def _connect_queue(app: web.Application) -> AsyncIterator[None]:
    async with open_channel(app[CONFIG], app[IDENTITY]) as channel:
        app[QUEUE] = QueueClient(channel, app[CONFIG])
        yield
