"""From HTTP to the queue's calls and back. policy.py has let the caller through."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing, suppress
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from mtls import PEER, SpiffeId

import orjson
from aiohttp import web

from gateway.app import CONFIG, STOPPING
from gateway.errors import ClientTooSlow, InvalidRequest, within
from gateway.queue_client import QUEUE
from gateway.queue_errors import QueueTimedOut
from gateway.shares import Share
from gateway.videos.errors import VideoNotFound
from gateway.videos.events import RETRY, event_id, relay, status_event
from gateway.videos.files import rendition_of, send, send_json, source_of
from gateway.videos.multipart import CHUNK_BYTES, FormReader
from gateway.videos.uploads import check_headers, idempotency_key_of, read_upload
from gateway.videos.video_json import THUMBNAIL, is_final, page_json, video_json

UPLOADS: Final = web.AppKey("UPLOADS", Share)
STREAMS: Final = web.AppKey("STREAMS", Share)

_MAX_PAGE_SIZE: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
# The queue makes the ids; no id of its looks different, and no other text gets as far as there.
_VIDEO_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PAGE_TOKEN: Final = re.compile(r"[!-~]{0,1024}")


async def list_videos(request: web.Request) -> web.StreamResponse:
    """Answer with a page of videos, newest first."""
    size, token = page_of(request.query)
    page = await request.app[QUEUE].list_videos(size, token, _caller(request))
    return await send_json(request, orjson.dumps(page_json(page)))


async def get_video(request: web.Request) -> web.Response:
    """Answer with one video."""
    video = await request.app[QUEUE].get_video(_video_id_of(request), _caller(request))
    return _json(video_json(video))


async def delete_video(request: web.Request) -> web.Response:
    """Remove a video."""
    await request.app[QUEUE].delete_video(_video_id_of(request), _caller(request))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def upload_video(request: web.Request) -> web.Response:
    """Pass a form's file on to the queue while it arrives."""
    limit = request.app[CONFIG].videos.max_upload_bytes
    boundary = check_headers(request.headers, max_upload_bytes=limit)
    key = idempotency_key_of(request.headers.getall("Idempotency-Key", ()))
    with request.app[UPLOADS].taken(_caller(request)):
        await _send_continue(request)
        return await _receive(request, boundary, key)


async def _receive(request: web.Request, boundary: str, key: str) -> web.Response:
    form = FormReader(lambda: _read_body(request), boundary)
    limit = request.app[CONFIG].videos.max_upload_bytes
    metadata, chunks = await read_upload(form, max_upload_bytes=limit)
    metadata.size_limit_bytes = request.content_length or 0
    metadata.idempotency_key = key
    video = await request.app[QUEUE].upload(metadata, chunks, _caller(request))
    response = _json(video_json(video), status=HTTPStatus.CREATED)
    response.headers["Location"] = f"/videos/{video.id}"
    return response


async def get_source(request: web.Request) -> web.StreamResponse:
    """Send what was uploaded, or a range of it."""
    queue, caller = request.app[QUEUE], _caller(request)
    video = await queue.get_video(_video_id_of(request), caller)
    return await send(
        request,
        source_of(video),
        lambda offset, length: queue.download(video.id, offset, length, caller),
    )


async def get_rendition(request: web.Request) -> web.StreamResponse:
    """Send a rendition, or a range of it: so a player can seek."""
    return await _send_rendition(request, request.match_info["name"])


async def get_thumbnail(request: web.Request) -> web.StreamResponse:
    """Send the picture that stands for the video."""
    return await _send_rendition(request, THUMBNAIL)


async def _send_rendition(request: web.Request, name: str) -> web.StreamResponse:
    queue, caller = request.app[QUEUE], _caller(request)
    video = await queue.get_video(_video_id_of(request), caller)
    return await send(
        request,
        rendition_of(video, name),
        lambda offset, length: queue.download_rendition(video.id, name, offset, length, caller),
    )


async def watch_video(request: web.Request) -> web.StreamResponse:
    """Tell of every change of a video, as server-sent events, until its status is final."""
    with request.app[STREAMS].taken(_caller(request)):
        return await _watch(request)


async def _watch(request: web.Request) -> web.StreamResponse:
    config, video_id = request.app[CONFIG], _video_id_of(request)
    settings = config.videos

    async def write(event: bytes) -> None:
        async with within(settings.idle_seconds, ClientTooSlow()):
            await response.write(event)

    async with aclosing(request.app[QUEUE].watch(video_id, _caller(request))) as videos:
        async with within(settings.call_seconds, QueueTimedOut()):
            first = await anext(videos)
        if is_final(first) and request.headers.get("Last-Event-ID") == event_id(first):
            # Nothing more will ever come. This status alone keeps a browser from asking again
            # (HTML standard, section 9.2.3).
            return web.Response(status=HTTPStatus.NO_CONTENT)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        if request.method == "HEAD":
            return response
        await response.prepare(request)
        await write(RETRY + status_event(first))
        await relay(
            video_id,
            videos,
            write,
            heartbeat_seconds=settings.heartbeat_seconds,
            until=_wait(request.app[STOPPING], config.request_seconds),
        )
    return response


async def check_queue(request: web.Request) -> None:
    """Raise a `RequestError` unless the queue says that it is serving."""
    await request.app[QUEUE].check_health(_caller(request))


async def get_openapi(_request: web.Request) -> web.Response:
    """Answer with the description of this API."""
    return web.Response(body=_openapi(), content_type="application/json")


async def postpone_continue(_request: web.Request) -> None:
    """Not yet answer `Expect: 100-continue`: the upload is still to be allowed."""


async def _send_continue(request: web.Request) -> None:
    """Ask for the body if the client waits for that (RFC 9110, section 10.1.1)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was not yet the response


async def _read_body(request: web.Request) -> bytes:
    """Return the next bytes of the body, b"" at its end."""
    async with within(request.app[CONFIG].videos.idle_seconds, ClientTooSlow()):
        try:
            return await request.content.read(CHUNK_BYTES)
        except web.RequestPayloadError as error:
            raise InvalidRequest("The body of the request is malformed: send it again.") from error


def _video_id_of(request: web.Request) -> str:
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


def _caller(request: web.Request) -> SpiffeId:
    return request[PEER].spiffe_id


def _json(content: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


@cache
def _openapi() -> bytes:
    return Path(__file__).with_name("openapi.json").read_bytes()
