"""A file to download: its name and headers, the part that a request wants, and sending it.

Sections are those of RFC 9110.
"""

import re
import unicodedata
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from mtls import PEER

from aiohttp import ETag, hdrs, web

from gateway.app import CONFIG
from gateway.errors import ClientTooSlow, within
from gateway.shares import Share
from gateway.videos.errors import PreconditionFailed, RenditionNotFound
from gateway.videos.ranges import ByteRange, parse_range
from videoqueue_api.v1.video_queue_pb2 import Video

DOWNLOADS: Final = web.AppKey("DOWNLOADS", Share)

_MAX_NAME_LENGTH: Final = 100
# Anything else may mean something to a header, a shell or a file system.
_NOT_IN_A_NAME: Final = re.compile(r"[^\w.-]+")
_NOT_ASCII: Final = re.compile(r"[^\x21-\x7e]")
_PIECE_BYTES: Final = 64 * 1024
_SUFFIX: Final = ".video"  # of types that are not in the table: no program is started by it
_SUFFIXES: Final[Mapping[str, str]] = {
    "image/jpeg": ".jpg",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpg",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A source or a rendition: its bytes never change, so their SHA-256 (hex) is a strong tag."""

    name: str
    content_type: str
    size_bytes: int
    sha256: str
    # What we made ourselves may be shown. What was uploaded is saved, and never taken for a page.
    disposition: str

    @property
    def etag(self) -> str:
        """The entity tag (section 8.8.3)."""
        return f'"{self.sha256}"'


def source_of(video: Video) -> StoredFile:
    """Return the file that was uploaded."""
    return StoredFile(
        name=file_name(video.title, video.content_type),
        content_type=video.content_type,
        size_bytes=video.size_bytes,
        sha256=video.sha256.hex(),
        disposition="attachment",
    )


def rendition_of(video: Video, name: str) -> StoredFile:
    """Return the rendition of that name. Raises `RenditionNotFound`."""
    for rendition in video.renditions:
        if rendition.name == name:
            return StoredFile(
                name=file_name(f"{video.title}-{name}", rendition.content_type),
                content_type=rendition.content_type,
                size_bytes=rendition.size_bytes,
                sha256=rendition.sha256.hex(),
                disposition="inline",
            )
    raise RenditionNotFound


def check_if_match(request: web.Request, file: StoredFile) -> None:
    """Raise `PreconditionFailed` if the client wants another file than this (section 13.1.1)."""
    if (tags := request.if_match) is None:
        return
    if not any(tag.value == "*" or tag == ETag(file.sha256) for tag in tags):
        raise PreconditionFailed


def is_known(request: web.Request, file: StoredFile) -> bool:
    """Whether the client has the file already (If-None-Match, section 13.1.2)."""
    return any(tag.value in {"*", file.sha256} for tag in request.if_none_match or ())


def wanted_range(request: web.Request, file: StoredFile) -> ByteRange | None:
    """Return the range to send, or None for the whole. Raises `RangeNotSatisfiable`.

    Only GET knows ranges (section 14.2). If-Range asks for the whole unless it names the very
    file that we have (section 13.1.5); there is no date that it could name.
    """
    header = request.headers.get(hdrs.RANGE)
    if header is None or request.method != hdrs.METH_GET:
        return None
    if request.headers.get(hdrs.IF_RANGE, file.etag) != file.etag:
        return None
    return parse_range(header, file.size_bytes)


def caching_headers(file: StoredFile) -> dict[str, str]:
    """Return the headers that a 304 has too (section 15.4.5)."""
    return {
        hdrs.ETAG: file.etag,
        # To be kept by the client alone, and shown only after its certificate was seen again.
        hdrs.CACHE_CONTROL: "private, no-cache",
    }


def file_headers(file: StoredFile, part: ByteRange | None) -> dict[str, str]:
    """Return the headers of a response with the file, or `part` of it."""
    ascii_name = _NOT_ASCII.sub("_", file.name)
    headers = caching_headers(file) | {
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CONTENT_LENGTH: str(part.length if part else file.size_bytes),
        hdrs.CONTENT_TYPE: file.content_type,
        hdrs.CONTENT_DISPOSITION: (  # both forms of the name: RFC 6266, section 4.3
            f"{file.disposition}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file.name)}"
        ),
        "X-Content-Type-Options": "nosniff",
    }
    if part:
        headers[hdrs.CONTENT_RANGE] = part.content_range(file.size_bytes)
    return headers


def file_name(title: str, content_type: str) -> str:
    """Return a file name made of the title: no folder, nothing hidden, nothing to be quoted.

    Its suffix is always one of ours: a title such as `invoice.exe` does not make it a program.
    """
    suffix = _SUFFIXES.get(content_type, _SUFFIX)
    name = _NOT_IN_A_NAME.sub("_", unicodedata.normalize("NFC", title)).removesuffix(suffix)
    return (name[:_MAX_NAME_LENGTH].strip("._-") or "video") + suffix


async def send(
    request: web.Request,
    file: StoredFile,
    download: Callable[[int, int], AsyncGenerator[bytes, None]],
) -> web.StreamResponse:
    """Answer with `file`, or the part that is wanted; `download(offset, length)` gets its bytes."""
    check_if_match(request, file)  # before the others: section 13.2.2
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
    with request.app[DOWNLOADS].taken(request[PEER].spiffe_id):
        return await _send_chunks(request, response, download(offset, length))


async def send_json(request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer with JSON. A large one is a download too: a client may be slow to take it."""
    headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.CONTENT_LENGTH: str(len(body))}
    if len(body) <= _PIECE_BYTES or request.method == "HEAD":
        return web.Response(body=body, headers=headers)
    response = web.StreamResponse(headers=headers)
    with request.app[DOWNLOADS].taken(request[PEER].spiffe_id):
        return await _send_chunks(request, response, _pieces_of(body))


async def _pieces_of(body: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


async def _send_chunks(
    request: web.Request, response: web.StreamResponse, source: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Send a chunk only when the client has taken the one before, for the most part."""
    async with aclosing(source) as chunks:
        chunk = await anext(chunks, b"")  # before the headers: so far an error has a status
        await response.prepare(request)
        while chunk:
            async with within(request.app[CONFIG].videos.idle_seconds, ClientTooSlow()):
                await response.write(chunk)
            chunk = await anext(chunks, b"")
    return response
