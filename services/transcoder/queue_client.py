"""The worker's calls to the queue: each has a deadline, and raises a `QueueError`.

Nothing is repeated here: only who makes the call knows whether there is still a use in it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from mtls.grpc_channel import renewing_channel
from mtls.identity_source import IdentitySource

import grpc.aio
import structlog

from transcoder.config import Config
from transcoder.contact import Contact
from transcoder.outputs import MediaFile
from transcoder.queue_errors import CALL_ERRORS, QueueUnreachable, TryAgain, meaning_of
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

_log = structlog.get_logger(__name__)

Beat = Callable[[int], Awaitable[int]]
_Result = TypeVar("_Result")
_request = api.PublishRenditionRequest

_CHUNK_BYTES: Final = 256 * 1024
_CHANNEL_OPTIONS: Final = (
    # A queue that vanished without closing its socket (power cut, lost network) is noticed in
    # 40 seconds while a call waits for it, and not after TCP's quarter of an hour.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # a claim may wait for long
    # A queue that comes back is found within 5 seconds; the default backs off to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # So much of a source may lie here unread. Left to itself the C-core widens the window of a
    # fast connection, and then holds 13 MiB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.max_receive_message_length", 1024 * 1024),
    ("grpc.max_send_message_length", 1024 * 1024),  # the queue takes no more
)


def open_channel(
    config: Config, source: IdentitySource
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to the queue; it connects at the first call, and again when it must."""
    return renewing_channel(config.queue, source, _CHANNEL_OPTIONS)


class QueueClient:
    """The calls of the video queue that a worker may make."""

    def __init__(self, channel: grpc.aio.Channel, config: Config) -> None:
        self._stub = VideoQueueStub(channel)
        self._config = config
        self._contact = Contact(config.queue)

    async def claim(self) -> api.Claim | None:
        """Return a video to work on, or None if there was none for some time."""
        # Who does not know whether the queue is there asks without waiting, to know it at once.
        wait_seconds = self._config.wait_seconds if self._contact.is_sure else 0
        seconds = wait_seconds + self._config.call_seconds
        request = api.ClaimVideoRequest(wait_seconds=wait_seconds)
        answer = await self._answer(self._stub.ClaimVideo(request, timeout=seconds), seconds)
        return answer.claim if answer.HasField("claim") else None

    async def report(
        self, lease: api.Lease, status: "api.VideoStatus.ValueType", *, failure_reason: str = ""
    ) -> None:
        """Report what has become of the work."""
        request = api.UpdateVideoStatusRequest(
            lease=lease, status=status, failure_reason=failure_reason
        )
        await self._answer(self._stub.UpdateVideoStatus(request, timeout=self._config.call_seconds))

    @asynccontextmanager
    async def heartbeats(self, lease: api.Lease, on_end: Callable[[], None]) -> AsyncIterator[Beat]:
        """Open a stream; yield a function that sends the percentage of progress.

        It returns for how many seconds the lease is renewed. When the queue ends the stream,
        `on_end` is called, and to send is to learn why.
        """
        call = self._stub.Heartbeat(timeout=self._config.transfer_seconds)
        call.add_done_callback(lambda _: on_end())

        async def beat(percent: int) -> int:
            if not call.done():
                request = api.HeartbeatRequest(lease=lease, progress_percent=percent)
                await self._step(call.write(request))
            answer = await self._answer(call.read(), self._config.call_seconds)
            if not isinstance(answer, api.HeartbeatResponse):  # it is grpc.aio.EOF
                raise TryAgain
            return answer.lease_seconds

        try:
            yield beat
        finally:
            call.cancel()  # without effect on a call that is done

    async def fetch_source(self, lease: api.Lease) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a claimed video, in chunks."""
        call = self._stub.FetchSource(
            api.FetchSourceRequest(lease=lease), timeout=self._config.transfer_seconds
        )
        messages = aiter(call)
        try:
            while message := await self._answer(anext(messages, None), self._config.idle_seconds):
                yield message.chunk
        finally:
            call.cancel()

    async def publish(self, lease: api.Lease, file: MediaFile) -> None:
        """Store a rendition or the thumbnail; the same again replaces it.

        A chunk is read only when gRPC has sent the one before, or has room for it in the window
        that the queue grants (RFC 9113, section 5.2). So a slow queue slows down the reading.
        """
        call = self._stub.PublishRendition(timeout=self._config.transfer_seconds)
        try:
            await self._step(call.write(_request(metadata=_metadata(lease, file))))
            if not (await self._step(call.initial_metadata())).get("go-ahead"):
                await self._answer(call)  # which has been refused
                return
            async with aclosing(_content(file.path)) as requests:
                async for request in requests:
                    if call.done():  # a write would make up a status (grpc/grpc#36066)
                        break
                    await self._step(call.write(request))
            await self._step(call.done_writing())
            await self._answer(call)
        finally:
            call.cancel()

    async def _answer(self, step: Awaitable[_Result], seconds: float | None = None) -> _Result:
        result = await self._step(step, seconds)
        self._contact.found()
        return result

    async def _step(self, step: Awaitable[_Result], seconds: float | None = None) -> _Result:
        """Wait for one step of a call. Raises `QueueError`."""
        try:
            async with asyncio.timeout(seconds or self._config.idle_seconds):
                return await step
        except CALL_ERRORS as error:
            meaning = meaning_of(error)
            match meaning:
                case QueueUnreachable():
                    self._contact.lost(str(meaning))
                case TryAgain():
                    _log.warning("queue.call_broke_off", reason=str(meaning))
                case _:
                    self._contact.found()
            raise meaning from error


async def _content(path: Path) -> AsyncGenerator[api.PublishRenditionRequest, None]:
    size_bytes = 0
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield _request(chunk=chunk)
            size_bytes += len(chunk)
    yield _request(end=api.StreamEnd(size_bytes=size_bytes))


def _metadata(lease: api.Lease, file: MediaFile) -> api.RenditionMetadata:
    return api.RenditionMetadata(
        lease=lease,
        name=file.name,
        content_type=file.content_type,
        width=file.width,
        height=file.height,
        duration_ms=round(file.duration_seconds * 1000),
    )
