"""Streams of messages from a client: a first message, then chunks and an end; or heartbeats."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from video_queue.domain.errors import CallError, InvalidRequest, StreamBrokeOff, StreamStalled
from video_queue.domain.notifier import Notifier
from videoqueue_api.v1 import video_queue_pb2 as api

# Sent as initial metadata. A Python client sees initial metadata of a refused call too, so their
# arrival alone says nothing: the key does.
GO_AHEAD: Final = (("go-ahead", "yes"),)

_MAX_READ_AWAY_SECONDS: Final = 30
_SHORTEST_PAUSE_SECONDS: Final = 0.1  # between two heartbeats

_Request = TypeVar("_Request")
_Requests = AsyncIterator[api.UploadRequest] | AsyncIterator[api.PublishRenditionRequest]


async def next_of(requests: AsyncIterator[_Request], *, idle_seconds: float) -> _Request | None:
    """Return the next message, None at the end of the stream. Raises `StreamStalled`."""
    try:
        async with asyncio.timeout(idle_seconds):
            return await anext(requests, None)
    except TimeoutError as error:
        raise StreamStalled(
            f"The stream sent nothing for {idle_seconds:g} s: "
            "send it again over a better connection."
        ) from error


@asynccontextmanager
async def chunks_in(
    requests: _Requests, *, idle_seconds: float
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the chunks of a stream. They end only where the client has sent a `StreamEnd`.

    To grpc.aio the stream of a client that was killed looks like one that has ended. The chunks
    raise `StreamBrokeOff`, `StreamStalled`, or `InvalidRequest` for a message that is neither a
    chunk nor the right end.

    After an error, the rest of the stream is read and dropped, so that the client sees the reason:
    a Python client that still writes would see INTERNAL instead (grpc/grpc#36066).
    """
    stream = _Stream(requests, idle_seconds)
    try:
        yield stream.chunks()
    except CallError:
        await stream.read_away()
        raise


class _Stream:
    def __init__(self, requests: _Requests, idle_seconds: float) -> None:
        self._requests: AsyncIterator[api.UploadRequest | api.PublishRenditionRequest] = requests
        self._idle_seconds = idle_seconds
        self._has_ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        size_bytes = 0
        while request := await next_of(self._requests, idle_seconds=self._idle_seconds):
            self._has_ended = request.HasField("end")
            part = request.WhichOneof("part")
            if part == "metadata" or not (part or self._has_ended):
                raise InvalidRequest("After the first message come chunks, and then the end.")
            size_bytes += len(request.chunk)
            if request.chunk:
                yield request.chunk
            if self._has_ended:
                _check_end(request.end, size_bytes)
                return
        self._has_ended = True
        raise StreamBrokeOff

    async def read_away(self) -> None:
        """Return at the end of the stream, or after a while: that client then sees INTERNAL."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_READ_AWAY_SECONDS):
                while not self._has_ended:
                    request = await anext(self._requests, None)
                    self._has_ended = request is None or request.HasField("end")


def _check_end(end: api.StreamEnd, size_bytes: int) -> None:
    if end.size_bytes != size_bytes:
        raise InvalidRequest(
            f"{size_bytes} bytes have arrived, and the end says {end.size_bytes}: "
            "send the number of bytes of all chunks."
        )


async def paced(
    requests: AsyncIterator[_Request], notifier: Notifier, *, longest_pause_seconds: float
) -> AsyncGenerator[_Request]:
    """Yield heartbeats until the client ends the stream, ten a second at most.

    A client that sends more of them is slowed down: what is not read fills its window of flow
    control (RFC 9113, section 5.2). Raises `StreamStalled` after a long pause, and `ShuttingDown`.
    """
    with notifier.subscribe(Notifier.END) as news:
        shutdown = asyncio.ensure_future(news.wait())
        request: asyncio.Future[_Request | None] | None = None
        try:
            while True:
                request = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait(
                    (shutdown, request),
                    timeout=longest_pause_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if shutdown.done():
                    shutdown.result()  # raises ShuttingDown
                if not request.done():
                    raise StreamStalled
                if (message := request.result()) is None:
                    return
                yield message
                await asyncio.wait((shutdown,), timeout=_SHORTEST_PAUSE_SECONDS)
        finally:
            shutdown.cancel()
            if request:
                request.cancel()
