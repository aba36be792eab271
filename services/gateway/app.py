"""The application: what every request passes before its handler, and what handlers find in it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mtls import PEER, IdentitySource, protect

from aiohttp import web

from gateway.audit import add_audit
from gateway.config import Config
from gateway.errors import problem_details
from gateway.policy import ALLOWED
from gateway.shares import Share

HealthCheck = Callable[[web.Request], Awaitable[None]]

CONFIG: Final = web.AppKey("CONFIG", Config)
IDENTITY: Final = web.AppKey("IDENTITY", IdentitySource)
REQUESTS: Final = web.AppKey("REQUESTS", Share)
STOPPING: Final = web.AppKey("STOPPING", asyncio.Event)  # set when the server begins to shut down
# Each raises a `RequestError` when the gateway cannot do its work.
HEALTH_CHECKS: Final = web.AppKey("HEALTH_CHECKS", list[HealthCheck])


def create_app(config: Config, identity: IdentitySource) -> web.Application:
    """Return the application with the routes of every gateway; add yours, and their policy."""
    app = web.Application(middlewares=[problem_details, limit_requests])
    protect(app, identity, ALLOWED, max_connection_age_seconds=config.max_connection_age_seconds)
    app[CONFIG] = config
    app[IDENTITY] = identity
    app[REQUESTS] = Share("requests", config.max_requests)
    app[STOPPING] = asyncio.Event()
    app[HEALTH_CHECKS] = []
    app.router.add_get("/healthz", get_health)
    add_audit(app, identity)

    async def begin_to_stop(app: web.Application) -> None:
        app[STOPPING].set()

    app.on_shutdown.append(begin_to_stop)
    return app


@web.middleware
async def limit_requests(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Raise `TooManyRequests` beyond the caller's share of requests that are under way."""
    with request.app[REQUESTS].taken(request[PEER].spiffe_id):
        return await handler(request)


async def get_health(request: web.Request) -> web.Response:
    """Answer whether the gateway can do its work."""
    for check in request.app[HEALTH_CHECKS]:
        await check(request)
    return web.json_response({"status": "ok"})
