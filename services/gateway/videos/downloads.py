"""Sending a file while it arrives, whole or in part."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import web

from gateway.errors import ClientTooSlow
from gateway.keys import CONFIG
from gateway.timeouts import within
from gateway.videos.files import StoredFile, caching_headers, file_headers, is_known, wanted_range


async def send(
    request: web.Request,
    file: StoredFile,
    download: Callable[[int, int], AsyncGenerator[bytes, None]],
) -> web.StreamResponse:
    """Answer with `file`, or the part that is wanted; `download(offset, length)` gets its bytes."""
    if is_known(request, file):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=caching_headers(file))
    part = wanted_range(request, file)
    response = web.StreamResponse(
        status=HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK,
        headers=file_headers(file, part),
    )
    if request.method == "HEAD":
        return response
    offset, length = (part.first, part.length) if part else (0, file.size_bytes)
    async with aclosing(download(offset, length)) as chunks:
        chunk = await anext(chunks, b"")  # before the headers: so far an error has a status
        await response.prepare(request)
        while chunk:
            async with within(request.app[CONFIG].idle_seconds, ClientTooSlow()):
                await response.write(chunk)
            chunk = await anext(chunks, b"")
    return response
