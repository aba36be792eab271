"""Reading multipart/form-data (RFC 7578) while it arrives, in bounded memory.

The parts are handed out in order and in chunks, and nothing is kept: a reader that collects parts
is of no use for a form that has a file of two gigabytes.
"""

import email.errors
import email.header
import email.parser
import email.utils
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Final
from urllib.parse import unquote

from gateway.errors import InvalidRequest

CHUNK_BYTES: Final = 256 * 1024  # what the queue's contract calls a good size

_MAX_HEADER_BYTES: Final = 8 * 1024
# RFC 2046, section 5.1.1: the characters of a boundary, which does not end with a space.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

_ENCODED_WORD: Final = re.compile(r"=\?[^?]+\?[BbQq]\?[^?]*\?=")


@dataclass(frozen=True, slots=True)
class Part:
    """What the headers of a part say. `content_type` is lower case, without parameters."""

    name: str
    file_name: str | None = None
    content_type: str | None = None


def boundary_of(content_type: str) -> str | None:
    """Return the boundary in the Content-Type of a form, or None if it is no form.

    Raises `InvalidRequest` for a form without a usable boundary.
    """
    message = Message()
    message["Content-Type"] = content_type if content_type.isascii() else ""
    if message.get_content_type() != "multipart/form-data":
        return None
    boundary = message.get_boundary("")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidRequest(
            "The Content-Type of the form has no boundary of 1 to 70 characters "
            "(RFC 2046, section 5.1.1): let your HTTP client set this header."
        )
    return boundary


class FormReader:
    """Takes a form apart: `next_part`, then `read_chunk` until it returns b"", and so on.

    `read` returns the next bytes of the body, and b"" at its end. Every method raises
    `InvalidRequest` where the form is malformed or breaks off, and whatever `read` raises.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], boundary: str) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        # Only the first delimiter may stand without a line break in front: so give it one.
        self._buffer = bytearray(b"\r\n")
        self._in_preamble = True
        self._in_part = False

    async def next_part(self) -> Part | None:
        """Return what the next part is, or None after the last. The part before must be read."""
        if self._in_preamble:
            await self._take_until(self._delimiter)
            self._in_preamble = False
        while len(self._buffer) < len(b"--"):
            await self._fill()
        if self._buffer.startswith(b"--"):
            return None
        padding, _, headers = (await self._take_until(b"\r\n\r\n")).partition(b"\r\n")
        if padding.strip(b" \t"):
            raise InvalidRequest(
                "A line of the form begins with its boundary and goes on with more."
            )
        self._in_part = True
        return _parse_headers(headers)

    async def read_chunk(self) -> bytes:
        """Return the next bytes of the part, b"" at its end.

        They are those that have come, `CHUNK_BYTES` at most: it is not waited for more, so that the
        queue sees that a slow client is still there.
        """
        if not self._in_part:
            return b""
        overlap = len(self._delimiter) - 1  # so much of a delimiter may stand at the buffer's end
        while (end := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > overlap:
                return self._take(min(len(self._buffer) - overlap, CHUNK_BYTES))
            await self._fill()
        if end > CHUNK_BYTES:
            return self._take(CHUNK_BYTES)
        self._in_part = False
        chunk = self._take(end)
        del self._buffer[: len(self._delimiter)]
        return chunk

    async def _take_until(self, mark: bytes) -> bytes:
        """Return what stands before `mark`, and drop both. Limited to the size of headers."""
        while (end := self._buffer.find(mark)) < 0 and len(self._buffer) <= _MAX_HEADER_BYTES:
            await self._fill()
        if not 0 <= end <= _MAX_HEADER_BYTES:
            raise InvalidRequest(
                f"The form has more than {_MAX_HEADER_BYTES} bytes where a part should begin."
            )
        taken = self._take(end)
        del self._buffer[: len(mark)]
        return taken

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _fill(self) -> None:
        data = await self._read()
        if not data:
            raise InvalidRequest("The form breaks off before its closing boundary: send it again.")
        self._buffer += data


def _parse_headers(block: bytes) -> Part:
    try:
        headers = email.parser.HeaderParser().parsestr(block.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidRequest("The headers of a part are not UTF-8: rename the file.") from error
    name = headers.get_param("name", header="Content-Disposition")
    if headers.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise InvalidRequest("A part has no `Content-Disposition: form-data; name=...`.")
    # RFC 7578, section 4.7: nobody encodes parts any more. We would store the code, not the file.
    if headers.get("Content-Transfer-Encoding", "binary").lower() not in {"binary", "8bit", "7bit"}:
        raise InvalidRequest(
            f"The part {name!r} has a Content-Transfer-Encoding: send it as it is."
        )
    return Part(
        name,
        _file_name_in(headers),
        headers.get_content_type() if "Content-Type" in headers else None,
    )


def _file_name_in(headers: Message) -> str | None:
    """Return the name of the file, in whichever way the client has encoded it.

    Browsers and curl send UTF-8 as it is and percent-encode only what would end the header; aiohttp
    percent-encodes all (RFC 7578, section 4.2). .NET sends `filename*` (RFC 8187), which RFC 7578
    forbids, and beside it an encoded word (RFC 2047) for older servers.
    """
    parameters = headers.get_params([], header="Content-Disposition")
    names = [value for key, value in parameters if key.lower() == "filename"]
    for name in names:
        if isinstance(name, tuple):
            return email.utils.collapse_rfc2231_value(name)
    if not names:
        return None
    if _ENCODED_WORD.fullmatch(names[0]):
        with suppress(email.errors.HeaderParseError, LookupError, UnicodeDecodeError):
            return str(email.header.make_header(email.header.decode_header(names[0])))
    try:
        return unquote(names[0], errors="strict")
    except UnicodeDecodeError:  # it only looks encoded, like `50%ff.mp4`
        return str(names[0])
