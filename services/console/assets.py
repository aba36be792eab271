"""The files of the page: read once at the start, and served from memory.

What is not among them does not exist, so no path can lead anywhere else.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def add_assets(app: web.Application) -> None:
    """Add a route for each file below static/; index.html is the page."""
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            name = path.relative_to(FOLDER).as_posix()
            app.router.add_get(
                "/" if name == "index.html" else f"/{name}", _serve(path.read_bytes(), path.suffix)
            )


def _serve(content: bytes, suffix: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    packed = gzip.compress(content, mtime=0)
    tag = hashlib.sha256(content).hexdigest()[:32]
    # To be asked about each time: a new console has new files under the same names.
    headers = {
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.ETAG: f'W/"{tag}"',  # weak: packed or not, it is the same file (RFC 9110, 8.8.3)
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }

    async def serve(request: web.Request) -> web.Response:
        if any(known.value == tag for known in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        takes_packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        return web.Response(
            body=packed if takes_packed else content,
            content_type=_TYPES[suffix],
            charset="utf-8",
            headers=headers | ({hdrs.CONTENT_ENCODING: "gzip"} if takes_packed else {}),
        )

    return serve
