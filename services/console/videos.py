"""The view "Videos": the gateway's API, passed through; it decides what `console` may do."""

from aiohttp import web

from console.context import GATEWAY

_ID = r"{id:[0-9A-Za-z_-]{1,64}}"
_NAME = r"{name:[0-9A-Za-z_-]{1,64}}"


def add(app: web.Application) -> None:
    """Add the routes: those of the gateway below /api/, and no others."""
    video = f"/api/videos/{_ID}"
    app.add_routes(
        [
            web.get("/api/videos", relay),
            web.post("/api/videos", relay),
            web.get(video, relay),
            web.delete(video, relay),
            web.get(f"{video}/events", relay),
            web.get(f"{video}/source", relay),
            web.get(f"{video}/thumbnail", relay),
            web.get(f"{video}/renditions/{_NAME}", relay),
        ]
    )


async def relay(request: web.Request) -> web.StreamResponse:
    """Pass the request on to the same path of the gateway."""
    return await request.app[GATEWAY].relay(request, request.path.removeprefix("/api"))
