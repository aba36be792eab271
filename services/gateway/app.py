"""The application: its routes, what stands in front of them, and what they need."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from mtls.http_authorization import authorize, count_responses
from mtls.http_connections import end_old_connections
from mtls.identity_source import IdentitySource
from mtls.policy import Policy

from aiohttp import web

from gateway.config import Config
from gateway.keys import CONFIG, QUEUE, STOPPING
from gateway.policy import ALLOWED
from gateway.problems import problem_details
from gateway.queue_client import QueueClient, open_channel
from gateway.videos import handlers

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
    web.get("/healthz", handlers.get_health),
    web.get("/openapi.json", handlers.get_openapi),
)


def create_app(config: Config, source: IdentitySource) -> web.Application:
    """Return the application, which calls the queue as the identity in force."""
    policy = Policy(source.current.spiffe_id.trust_domain, ALLOWED)
    app = web.Application(middlewares=[problem_details, authorize(policy, source)])
    app[CONFIG] = config
    app[STOPPING] = asyncio.Event()
    app.add_routes(ROUTES)

    async def connect_queue(app: web.Application) -> AsyncIterator[None]:
        async with open_channel(config, source) as channel:
            app[QUEUE] = QueueClient(channel, config)
            yield

    async def begin_to_stop(app: web.Application) -> None:
        app[STOPPING].set()

    app.cleanup_ctx.append(connect_queue)
    app.on_shutdown.append(begin_to_stop)
    app.on_response_prepare.append(count_responses(policy, source))
    app.on_response_prepare.append(end_old_connections(config.max_connection_age_seconds))
    return app
