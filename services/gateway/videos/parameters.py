"""What a client writes into the URL."""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.errors import InvalidRequest, VideoNotFound

_MAX_PAGE_SIZE: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
# The queue makes the ids; no id of its looks different, and no other text gets as far as there.
_VIDEO_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PAGE_TOKEN: Final = re.compile(r"[!-~]{0,1024}")


def video_id_of(request: web.Request) -> str:
    """Return the id in the path. Raises `VideoNotFound` for what cannot be one."""
    video_id = request.match_info["id"]
    if not _VIDEO_ID.fullmatch(video_id):
        raise VideoNotFound
    return video_id


def page_of(query: Mapping[str, str]) -> tuple[int, str]:
    """Return the page size wanted, 0 if none is, and the page token. Raises `InvalidRequest`."""
    size, token = query.get("page_size"), query.get("page_token", "")
    if size is not None and not (_NUMBER.fullmatch(size) and 1 <= int(size) <= _MAX_PAGE_SIZE):
        raise InvalidRequest(f"page_size is a whole number from 1 to {_MAX_PAGE_SIZE}.")
    if not _PAGE_TOKEN.fullmatch(token):
        raise InvalidRequest("page_token is the next_page_token of the page before, as it was.")
    return int(size or 0), token
