"""The status bar: who the console is, and whether gateway and queue answer it now."""

import datetime as dt

from aiohttp import web

from console.context import CONFIG, IDENTITY, SIGHT
from console.json_http import json_response
from console.sight import certificate_json


def add(app: web.Application) -> None:
    """Add the route."""
    app.add_routes([web.get("/api/status", get_status)])


async def get_status(request: web.Request) -> web.Response:
    """Answer what is true now: `GET /api/status`."""
    sightings = await request.app[SIGHT].look_again()
    me = request.app[IDENTITY].current
    return json_response(
        {
            "identity": str(me.spiffe_id),
            "certificate": certificate_json(me.certificate),
            "certs_command": request.app[CONFIG].certs_command,
            "servers": [sighting.as_json() for sighting in sightings],
            "at": now(),
        }
    )


def now() -> str:
    """Return the time, as the page reads it (RFC 3339)."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
