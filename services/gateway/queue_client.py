"""The gRPC side of the gateway: every call has a deadline, and says for whom it is made.

retries.py names the calls that are made again when the queue is away for a moment.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from mtls.grpc_channel import renewing_channel
from mtls.identity_source import IdentitySource
from mtls.spiffe import SpiffeId

import grpc.aio
from grpc_health.v1 import health_pb2

from gateway.config import Config
from gateway.early_end import CALL_ENDED, EarlyEnd
from gateway.errors import QueueFailed, QueueTimedOut, QueueUnavailable, StoreFull
from gateway.queue_errors import queue_errors
from gateway.retries import SERVICE_CONFIG
from gateway.timeouts import within
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

_Message = TypeVar("_Message")
_Chunk = TypeVar("_Chunk", api.DownloadResponse, api.DownloadRenditionResponse)

_CHANNEL_OPTIONS: Final = (
    # A queue that vanished without closing its socket (power cut, lost network) is noticed in
    # 40 seconds while a call waits for it, and not after TCP's quarter of an hour.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # a video may be watched for long without news
    # A queue that comes back is found within 5 seconds; the default backs off to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # So much of a download may lie here unread. Left to itself the C-core widens the window of a
    # fast connection, and then holds 13 MiB for every client that is slow.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),  # a full page of long descriptions
    ("grpc.max_send_message_length", 1024 * 1024),  # the queue takes no more
    ("grpc.service_config", SERVICE_CONFIG),
)


def open_channel(
    config: Config, source: IdentitySource
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to the queue; it connects at the first call, and again when it must."""
    return renewing_channel(config.queue, source, _CHANNEL_OPTIONS)


def _on_behalf_of(caller: SpiffeId) -> tuple[tuple[str, str], ...]:
    """Return the request metadata, all of it: nothing that a client sends ever gets in here."""
    return (("on-behalf-of", str(caller)),)


class QueueClient:
    """The calls of the video queue that the gateway needs; each raises a `RequestError`.

    `caller` is the person or program whose request is being served.
    """

    def __init__(self, channel: grpc.aio.Channel, config: Config) -> None:
        self._stub = VideoQueueStub(channel)
        self._check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        self._config = config

    async def check_health(self, caller: SpiffeId) -> None:
        """Return if the queue says that it is serving."""
        with queue_errors():
            answer = await self._check(
                health_pb2.HealthCheckRequest(),
                timeout=self._config.call_seconds,
                metadata=_on_behalf_of(caller),
            )
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise QueueUnavailable

    async def get_video(self, video_id: str, caller: SpiffeId) -> api.Video:
        """Return one video."""
        with queue_errors():
            return await self._stub.GetVideo(
                api.GetVideoRequest(id=video_id),
                timeout=self._config.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def list_videos(
        self, page_size: int, page_token: str, caller: SpiffeId
    ) -> api.ListVideosResponse:
        """Return a page of videos, newest first; `page_size` 0 leaves it to the queue."""
        with queue_errors():
            return await self._stub.ListVideos(
                api.ListVideosRequest(page_size=page_size, page_token=page_token),
                timeout=self._config.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def delete_video(self, video_id: str, caller: SpiffeId) -> None:
        """Remove a video of the caller's."""
        with queue_errors():
            await self._stub.DeleteVideo(
                api.DeleteVideoRequest(id=video_id),
                timeout=self._config.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def upload(
        self, metadata: api.UploadMetadata, chunks: AsyncIterator[bytes], caller: SpiffeId
    ) -> api.Video:
        """Store a video. Unless `chunks` comes to its end, nothing is stored.

        A chunk is taken only when gRPC has sent the one before, or has room for it in the window
        that the queue grants (RFC 9113, section 5.2). So a slow queue slows down the client.
        """
        call = self._stub.Upload(
            timeout=self._config.transfer_seconds, metadata=_on_behalf_of(caller)
        )
        end = EarlyEnd(call)
        try:
            with queue_errors(exhausted=StoreFull):
                try:
                    if not await self._may_go_ahead(call, metadata):
                        return await call  # which has been refused
                    size_bytes = 0
                    async for chunk in chunks:
                        size_bytes += len(chunk)
                        await self._write(call, api.UploadRequest(chunk=chunk))
                    whole = api.StreamEnd(size_bytes=size_bytes)
                    await self._write(call, api.UploadRequest(end=whole))
                    await call.done_writing()
                    async with self._progress():
                        return await call
                except CALL_ENDED as error:
                    async with self._progress():
                        raise await end.error() from error
        finally:
            call.cancel()  # without effect on a call that is done

    async def _may_go_ahead(
        self, call: grpc.aio.StreamUnaryCall[api.UploadRequest, Any], metadata: api.UploadMetadata
    ) -> bool:
        """Ask before the first byte, like a short call: a queue that hangs is found out soon."""
        async with within(self._config.call_seconds, QueueTimedOut()):
            await call.write(api.UploadRequest(metadata=metadata))
            return bool((await call.initial_metadata()).get("go-ahead"))

    async def _write(
        self, call: grpc.aio.StreamUnaryCall[api.UploadRequest, Any], request: api.UploadRequest
    ) -> None:
        async with self._progress():
            await call.write(request)

    def download(
        self, video_id: str, offset: int, length: int, caller: SpiffeId
    ) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of the source from `offset` on, in chunks."""
        call = self._stub.Download(
            api.DownloadRequest(id=video_id, offset=offset, length=length),
            timeout=self._config.transfer_seconds,
            metadata=_on_behalf_of(caller),
        )
        return self._chunks(call, length)

    def download_rendition(
        self, video_id: str, name: str, offset: int, length: int, caller: SpiffeId
    ) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of a rendition from `offset` on, in chunks."""
        call = self._stub.DownloadRendition(
            api.DownloadRenditionRequest(
                video_id=video_id, name=name, offset=offset, length=length
            ),
            timeout=self._config.transfer_seconds,
            metadata=_on_behalf_of(caller),
        )
        return self._chunks(call, length)

    async def _chunks(
        self, call: grpc.aio.UnaryStreamCall[Any, _Chunk], length: int
    ) -> AsyncGenerator[bytes, None]:
        try:
            with queue_errors():
                messages = aiter(call)
                while message := await self._next(messages):
                    if message.chunk:
                        length -= len(message.chunk)
                        yield message.chunk
        finally:
            call.cancel()
        if length:
            raise QueueFailed

    async def watch(self, video_id: str, caller: SpiffeId) -> AsyncGenerator[api.Video, None]:
        """Yield the video as it is, then after every change, until its status is final."""
        call = self._stub.WatchVideo(
            api.WatchVideoRequest(id=video_id),
            timeout=self._config.watch_seconds + self._config.call_seconds,
            metadata=_on_behalf_of(caller),
        )
        try:
            with queue_errors():
                async for video in call:
                    yield video
        finally:
            call.cancel()

    async def _next(self, messages: AsyncIterator[_Message]) -> _Message | None:
        async with self._progress():
            return await anext(messages, None)

    def _progress(self) -> AbstractAsyncContextManager[None]:
        """Bound one step of a transfer; the whole may take as long as it moves."""
        return within(self._config.idle_seconds, QueueTimedOut())
