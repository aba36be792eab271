"""JSON to and from the page."""

from typing import Any, Final

import orjson
from aiohttp import web

from console.errors import InvalidRequest

_MAX_BYTES: Final = 64 * 1024


def json_response(content: Any) -> web.Response:
    """Answer with JSON that nobody keeps."""
    return web.Response(
        body=orjson.dumps(content),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def detail_of(content: bytes) -> str:
    """Return what problem details say (RFC 9457, section 3.1.4); "" if it is something else."""
    try:
        return str(orjson.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return ""


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the object in the body. Raises `InvalidRequest`."""
    if (request.content_length or 0) > _MAX_BYTES:
        raise InvalidRequest
    try:
        content = orjson.loads(await request.content.read(_MAX_BYTES) or b"{}")
    except ValueError as error:
        raise InvalidRequest from error
    if not isinstance(content, dict):
        raise InvalidRequest
    return content
