"""Streams of messages from a client: what is said first, then chunks, then the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from video_queue.errors import CallError, InvalidRequest, StreamBrokeOff, StreamStalled
from videoqueue_api.v1 import video_queue_pb2 as api

# Sent as initial metadata. To a client in Python a refused call has initial metadata too, and does
# not at once look like one that is done: so the go-ahead is said, not just sent.
GO_AHEAD: Final = (("go-ahead", "yes"),)

_MAX_READ_AWAY_SECONDS: Final = 30

_Request = TypeVar("_Request")
_Requests = AsyncIterator[api.UploadRequest] | AsyncIterator[api.PublishRenditionRequest]


async def first_of(requests: AsyncIterator[_Request], *, idle_seconds: float) -> _Request | None:
    """Return the first message, None if there is none. Raises `StreamStalled`."""
    try:
        async with asyncio.timeout(idle_seconds):
            return await anext(requests, None)
    except TimeoutError as error:
        raise StreamStalled from error


@asynccontextmanager
async def chunks_in(requests: _Requests) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the chunks of a stream. They come to their end only if the client has said so.

    grpc.aio shows a client that was killed like one that is done. They raise `StreamBrokeOff`, or
    `InvalidRequest` for what is neither a chunk nor a fitting end.

    After an error, what still comes is taken and dropped, so that the client gets to see why: in
    Python, while it writes, it would see INTERNAL in place of any other status (grpc/grpc#36066).
    """
    stream = _Stream(requests)
    try:
        yield stream.chunks()
    except CallError:
        await stream.read_away()
        raise


class _Stream:
    def __init__(self, requests: _Requests) -> None:
        self._requests = requests
        self._has_ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        size_bytes = 0
        async for request in self._requests:
            match request.WhichOneof("part"):
                case "chunk":
                    size_bytes += len(request.chunk)
                    if request.chunk:
                        yield request.chunk
                case "end":
                    self._has_ended = True
                    _check_end(request.end, size_bytes)
                    return
                case _:
                    raise InvalidRequest("After the first message come chunks, and then the end.")
        self._has_ended = True
        raise StreamBrokeOff

    async def read_away(self) -> None:
        """Return at the end; a client that does not come to it has to live with INTERNAL."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_READ_AWAY_SECONDS):
                while not self._has_ended:
                    request = await anext(self._requests, None)
                    self._has_ended = request is None or request.WhichOneof("part") == "end"


def _check_end(end: api.StreamEnd, size_bytes: int) -> None:
    if end.size_bytes != size_bytes:
        raise InvalidRequest(
            f"{size_bytes} bytes have come, and the end speaks of {end.size_bytes}: "
            "send the number of bytes of all chunks."
        )
