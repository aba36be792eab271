"""Reading multipart/form-data (RFC 7578) while it arrives, in bounded memory.

The parts are handed out in order and in chunks, and nothing is kept: a reader that collects parts
is of no use for a form that has a file of two gigabytes.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.errors import InvalidRequest
from gateway.videos.form_headers import Part, part_of

CHUNK_BYTES: Final = 256 * 1024  # what the queue's contract calls a good size

_MAX_HEADER_BYTES: Final = 8 * 1024


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
        return part_of(headers)

    @property
    def is_at_end_of_part(self) -> bool:
        """Whether the part has been read, which is known together with its last chunk."""
        return not self._in_part

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
