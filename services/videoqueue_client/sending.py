"""Sending a file to the video queue: metadata, the queue's go-ahead, and chunks up to the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar

import grpc
import grpc.aio

from videoqueue_api.v1 import video_queue_pb2 as api

_Response = TypeVar("_Response")
_Result = TypeVar("_Result")

# What a write raises into a call that has ended, depending on when it finds out.
_CALL_ENDED: Final = (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError)
_REPLACEMENT: Final = "Internal error from Core"


class Chunk(NamedTuple):
    """A piece of a file, which may be empty if it is the last."""

    data: bytes
    is_last: bool


class QueueStalled(grpc.aio.AioRpcError):
    """The queue neither took nor sent anything for some time."""

    def __init__(self, seconds: float) -> None:
        nothing = grpc.aio.Metadata()
        details = f"The queue made no progress for {seconds:g} s."
        super().__init__(grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing, details)


@asynccontextmanager
async def step_within(seconds: float) -> AsyncIterator[None]:
    """Bound one step of a call; the whole may take as long as it moves. Raises `QueueStalled`."""
    try:
        async with asyncio.timeout(seconds) as timer:
            yield
    except TimeoutError:
        if timer.expired():
            raise QueueStalled(seconds) from None
        raise  # the body's own, such as ETIMEDOUT of a socket


async def send_file(
    call: grpc.aio.StreamUnaryCall[Any, _Response],
    message: Callable[..., api.UploadRequest | api.PublishRenditionRequest],
    metadata: api.UploadMetadata | api.RenditionMetadata,
    chunks: AsyncIterator[Chunk],
    *,
    go_ahead_seconds: float,
    step_seconds: float,
) -> _Response:
    """Send a file in a call that takes messages of the type `message`; return the answer.

    Without a last chunk the queue stores nothing; if `chunks` raises, the call is cancelled.

    A chunk is taken only when gRPC has sent the one before, or has room for it in the window that
    the queue grants (RFC 9113, section 5.2). So a slow queue slows down the sender.

    Raises `grpc.aio.AioRpcError` with the queue's own status, `QueueStalled`, and what `chunks`
    raises.
    """
    status = _QueueStatus(call)
    try:
        async with step_within(go_ahead_seconds):
            await call.write(message(metadata=metadata))
            # A call that is refused has initial metadata too, but no go-ahead in it.
            may_go_ahead = (await call.initial_metadata()).get("go-ahead")
        if may_go_ahead:
            size_bytes = 0
            async for chunk in chunks:
                size_bytes += len(chunk.data)
                end = api.StreamEnd(size_bytes=size_bytes) if chunk.is_last else None
                async with step_within(step_seconds):
                    await call.write(message(chunk=chunk.data, end=end))
            async with step_within(step_seconds):
                await call.done_writing()
        async with step_within(step_seconds):
            return await call
    except QueueStalled:
        raise
    except _CALL_ENDED as error:
        async with step_within(step_seconds):
            raise await status.error() from error
    finally:
        call.cancel()  # without effect on a call that is done


class _QueueStatus:
    """The status that the queue ended a call with while we were still writing into it.

    grpcio now and then loses it: a write that fails because the call has ended replaces the status
    by an INTERNAL of its own (grpc/grpc#36066). This is the one workaround: it listens from the
    start, and so learns the status before it is replaced. Remove it when that issue is fixed.
    """

    def __init__(self, call: grpc.aio.StreamUnaryCall[Any, Any]) -> None:
        self._call = call
        self._code, self._details = grpc.StatusCode.INTERNAL, ""
        self._trailing = grpc.aio.Metadata()
        call.add_done_callback(lambda _: self._take())

    async def error(self) -> grpc.aio.AioRpcError:
        """Return the error that the call ended with."""
        with suppress(grpc.aio.AioRpcError):
            await self._call
        self._take()  # the queue's status may also come after the replacement
        # With no other status than the replacement, the queue itself has gone.
        is_gone = self._details == _REPLACEMENT
        code = grpc.StatusCode.UNAVAILABLE if is_gone else self._code
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), self._trailing, self._details)

    def _take(self) -> None:
        if self._code is grpc.StatusCode.INTERNAL:
            self._code = _result_of(self._call.code())
            self._details = _result_of(self._call.details())
            self._trailing = _result_of(self._call.trailing_metadata())


def _result_of(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of a coroutine that need not wait: those of a call that is done."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _Result = stop.value
        return result
    raise RuntimeError("The call is not done.")
