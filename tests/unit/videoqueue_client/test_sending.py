"""How a file is sent, to a real gRPC server that refuses it at every point of the stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import mtls  # noqa: F401  before grpc

import grpc
import grpc.aio
import pytest

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import (
    VideoQueueServicer,
    VideoQueueStub,
    add_VideoQueueServicer_to_server,
)
from videoqueue_client.sending import Chunk, QueueStalled, send_file

METADATA = api.UploadMetadata(title="Holiday")
CHUNK = b"x" * 250_000
CHUNKS = 40
SECONDS = 60.0
REFUSAL = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass
class Queue(VideoQueueServicer):
    """Takes uploads, and refuses them after so many messages; None is for never."""

    refuse_after: int | None = None
    hang_after: int | None = None
    goes_ahead: bool = True
    taken: list[str] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def Upload(self, requests: AsyncIterator[api.UploadRequest], context: Any) -> api.Video:  # noqa: N802
        try:
            return await self._upload(requests, context)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self.is_over.set()

    async def _upload(self, requests: AsyncIterator[api.UploadRequest], context: Any) -> api.Video:
        count = 0
        async for request in requests:
            self.taken += [field.name for field, _ in request.ListFields()]
            count += 1
            if count == self.refuse_after:
                await context.abort(REFUSAL, "full")
            if count == self.hang_after:
                await asyncio.Event().wait()
            if count == 1 and self.goes_ahead:
                await context.send_initial_metadata((("go-ahead", "yes"),))
        return api.Video(id="first")


def queue(**settings: Any) -> Queue:
    return Queue(**settings)  # type: ignore[abstract]  # it has one call


@asynccontextmanager
async def served(queue: Queue) -> AsyncIterator[VideoQueueStub]:
    """Without TLS: what is tested is the order of messages."""
    server = grpc.aio.server()
    add_VideoQueueServicer_to_server(queue, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield VideoQueueStub(channel)
    finally:
        await server.stop(None)


async def chunks(count: int = CHUNKS, then: Callable[[], None] = lambda: None) -> Any:
    for _ in range(count - 1):
        yield Chunk(CHUNK, is_last=False)
    then()
    yield Chunk(CHUNK, is_last=True)


async def send(stub: VideoQueueStub, source: Any, seconds: float = SECONDS) -> Any:
    return await send_file(
        stub.Upload(timeout=SECONDS),
        api.UploadRequest,
        METADATA,
        source,
        go_ahead_seconds=seconds,
        step_seconds=seconds,
    )


async def test_metadata_come_first_then_chunks_the_last_with_the_end() -> None:
    complete = queue()
    async with served(complete) as stub:
        assert (await send(stub, chunks(2))).id == "first"
    assert complete.taken == ["metadata", "chunk", "chunk", "end"]


@pytest.mark.parametrize("after", [1, 2, 3, 20, CHUNKS, CHUNKS + 1])
async def test_the_queue_s_own_status_arrives_wherever_it_refuses(after: int) -> None:
    """A queue that stops reading at once, which is what grpc/grpc#36066 is about."""
    for _ in range(20):
        async with served(queue(refuse_after=after)) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await send(stub, chunks())
        assert (refused.value.code(), refused.value.details()) == (REFUSAL, "full")


async def test_without_go_ahead_no_chunk_is_taken() -> None:
    source = chunks()
    async with served(queue(refuse_after=1)) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await send(stub, source)
    assert len([chunk async for chunk in source]) == CHUNKS


@pytest.mark.parametrize("after", [1, 2])
async def test_a_queue_that_hangs_is_noticed(after: int) -> None:
    hanging = queue(hang_after=after)
    async with served(hanging) as stub:
        with pytest.raises(QueueStalled, match="no progress for 1 s") as stalled:
            await send(stub, chunks(), seconds=1)  # the call has come in by then
        assert stalled.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(SECONDS):
            await hanging.cancelled.wait()


async def test_chunks_that_break_off_cancel_the_call_without_an_end() -> None:
    def break_off() -> None:
        raise LookupError("the client has gone")

    waiting = queue()
    async with served(waiting) as stub:
        with pytest.raises(LookupError):
            await send(stub, chunks(3, break_off))
        async with asyncio.timeout(SECONDS):
            await waiting.is_over.wait()  # cancelled, or at what looks like the stream's end
    assert "end" not in waiting.taken
