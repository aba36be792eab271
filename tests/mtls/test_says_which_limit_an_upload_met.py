"""An upload beyond a limit hears whether to wait, to make room or to send less.

The queue answers RESOURCE_EXHAUSTED to each, and the gateway gives each its own HTTP status.
"""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_stack import Stack

CONTENT = b"x" * 1000


@pytest.mark.parametrize(
    ("variable", "limit", "status", "detail"),
    [
        ("VIDEO_QUEUE_MAX_PENDING_PER_OWNER", 1, 429, "pending"),
        ("VIDEO_QUEUE_OWNER_QUOTA_BYTES", 1999, 429, "together may have 1999 bytes"),
        ("VIDEO_QUEUE_QUOTA_BYTES", 1999, 507, "The store is full"),
        ("VIDEO_QUEUE_MAX_UPLOAD_BYTES", 1000, 413, "1000 bytes at most"),
    ],
)
async def test_an_upload_beyond_a_limit_hears_which(
    tmp_path: Path, variable: str, limit: int, status: int, detail: str
) -> None:
    """The upload before it, within the same limit, is stored."""
    stack = Stack(tmp_path)
    stack.write_certificates()
    with (
        stack.start_queue(**{variable: str(limit)}) as queue,
        stack.start_gateway(queue.address) as gateway,
    ):
        async with stack.session("client/uploader", gateway) as session:
            assert (await upload(session, CONTENT))[0] == 201
            answered, problem, headers = await upload(session, CONTENT + b"y")
            assert (answered, problem["status"]) == (status, status)
            assert detail in problem["detail"]
            assert ("Retry-After" in headers) == (status == 429)
            async with session.get("/videos") as response:
                assert len((await response.json())["videos"]) == 1


async def upload(
    session: aiohttp.ClientSession, content: bytes
) -> tuple[int, dict[str, Any], dict[str, str]]:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="video.mp4", content_type="video/mp4")
    async with session.post("/videos", data=form) as response:
        body = await response.json(content_type=None)
        return response.status, body, dict(response.headers)
