"""The worker's calls to the queue: each has a deadline, and raises a `QueueError`.

No call is repeated here: the caller knows whether it is still of use.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, Final, TypeVar

from mtls.address import Address

import grpc.aio
import structlog

from transcoder.config import Config
from transcoder.job import MediaFile
from transcoder.queue_errors import CALL_ERRORS, QueueUnreachable, TryAgain, meaning_of
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub
from videoqueue_client.sending import Chunk, send_file

_log = structlog.get_logger(__name__)

Beat = Callable[[int], Awaitable[int]]
_Result = TypeVar("_Result")

_CHUNK_BYTES: Final = 256 * 1024


class Contact:
    """What is known of the way to the queue: at first nothing."""

    def __init__(self, queue: Address) -> None:
        self._queue = queue
        self._answers: bool | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the queue has answered the last time it was asked."""
        return self._answers is True

    def found(self) -> None:
        """Take note of an answer, which may be a refusal."""
        if self._answers is not True:
            _log.info("queue.reached", queue=str(self._queue))
        self._answers = True

    def lost(self, error: str) -> None:
        """Take note that there was none."""
        if self._answers is not False:
            _log.warning("queue.unreachable", queue=str(self._queue), error=error)
        self._answers = False


class QueueClient:
    """The calls of the video queue that a worker may make."""

    def __init__(self, channel: grpc.aio.Channel, config: Config) -> None:
        self._stub = VideoQueueStub(channel)
        self._config = config
        self._contact = Contact(config.queue)

    async def claim(self) -> api.Claim | None:
        """Return a video to work on, or None if there was none for some time."""
        # As long as the queue has not answered, a claim does not wait: so the answer comes at once.
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
        """Store a rendition or the thumbnail; the same again replaces it."""
        seconds = self._config.transfer_seconds
        call = self._stub.PublishRendition(timeout=seconds)
        async with aclosing(_chunks_of(file.content)) as chunks:
            answer = send_file(
                call,
                api.PublishRenditionRequest,
                _metadata(lease, file),
                chunks,
                go_ahead_seconds=self._config.idle_seconds,
                step_seconds=self._config.idle_seconds,
            )
            await self._answer(answer, seconds)

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


async def _chunks_of(file: BinaryIO) -> AsyncGenerator[Chunk, None]:
    file.seek(0)  # a file that broke off is sent again
    data, is_last = await asyncio.to_thread(file.read, _CHUNK_BYTES), False
    while not is_last:
        following = await asyncio.to_thread(file.read, _CHUNK_BYTES)
        is_last = not following
        yield Chunk(data, is_last)
        data = following


def _metadata(lease: api.Lease, file: MediaFile) -> api.RenditionMetadata:
    return api.RenditionMetadata(
        lease=lease,
        name=file.name,
        content_type=file.content_type,
        width=file.width,
        height=file.height,
        duration_ms=round(file.duration_seconds * 1000),
    )
