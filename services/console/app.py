"""The application: what every request passes before its handler, the page, and the views.

A view is a module of this package with one function:

    def add(app: web.Application) -> None:
        app.add_routes([web.post("/api/handshake", record_handshake)])
        app.cleanup_ctx.append(...)        # if it holds something

Its handlers find what they need in `request.app[...]`, by the keys of console.context; raise a
`ConsoleError` for what goes wrong; and answer JSON with `json_response`. Everything behind the
guard comes from a page of ours whose user has the token.
"""

from collections.abc import AsyncIterator
from typing import Final

from mtls import IdentitySource

from aiohttp import web

from console import access, certificates, handshake, intruders, status, videos
from console.assets import add_assets
from console.config import Config
from console.context import CONFIG, GATEWAY, IDENTITY, SIGHT
from console.errors import problem_details
from console.exposure import Exposure, expose
from console.gateway import open_gateway
from console.sight import Sight

VIEWS: Final = (videos, handshake, intruders, access, certificates)


def create_app(config: Config, identity: IdentitySource, exposure: Exposure) -> web.Application:
    """Return the application, guarded, with the page and every view."""
    app = web.Application(middlewares=[problem_details])
    expose(app, exposure)
    app[CONFIG] = config
    app[IDENTITY] = identity
    app[SIGHT] = Sight(config, identity)
    app.cleanup_ctx.append(_connect_gateway)
    add_assets(app)
    for part in (status, *VIEWS):
        part.add(app)
    return app


async def _connect_gateway(app: web.Application) -> AsyncIterator[None]:
    async with open_gateway(app[CONFIG], app[IDENTITY], app[SIGHT]) as gateway:
        app[GATEWAY] = gateway
        yield
