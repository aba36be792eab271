"""The gRPC side of the gateway: every call has a deadline, and says for whom it is made."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from mtls import IdentitySource, SpiffeId

import grpc.aio
from aiohttp import web
from grpc_health.v1 import health_pb2

from gateway.config import Config
from gateway.queue_errors import QueueFailed, QueueUnavailable, queue_errors
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub
from videoqueue_client.channel import queue_channel
from videoqueue_client.sending import Chunk, send_file, step_within

_Message = TypeVar("_Message")
_Chunk = TypeVar("_Chunk", api.DownloadResponse, api.DownloadRenditionResponse)

_MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024  # a full page of long descriptions


def open_channel(
    config: Config, source: IdentitySource
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    """Return a channel to the queue; it connects at the first call, and again when it must."""
    return queue_channel(config.videos.queue, source, max_message_bytes=_MAX_MESSAGE_BYTES)


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
        self._settings, self._request_seconds = config.videos, config.request_seconds

    async def check_health(self, caller: SpiffeId) -> None:
        """Return if the queue says that it is serving."""
        with queue_errors():
            answer = await self._check(
                health_pb2.HealthCheckRequest(),
                timeout=self._settings.call_seconds,
                metadata=_on_behalf_of(caller),
            )
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise QueueUnavailable

    async def get_video(self, video_id: str, caller: SpiffeId) -> api.Video:
        """Return one video."""
        with queue_errors():
            return await self._stub.GetVideo(
                api.GetVideoRequest(id=video_id),
                timeout=self._settings.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def list_videos(
        self, page_size: int, page_token: str, caller: SpiffeId
    ) -> api.ListVideosResponse:
        """Return a page of videos, newest first; `page_size` 0 leaves it to the queue."""
        with queue_errors():
            return await self._stub.ListVideos(
                api.ListVideosRequest(page_size=page_size, page_token=page_token),
                timeout=self._settings.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def delete_video(self, video_id: str, caller: SpiffeId) -> None:
        """Remove a video of the caller's."""
        with queue_errors():
            await self._stub.DeleteVideo(
                api.DeleteVideoRequest(id=video_id),
                timeout=self._settings.call_seconds,
                metadata=_on_behalf_of(caller),
            )

    async def upload(
        self, metadata: api.UploadMetadata, chunks: AsyncIterator[Chunk], caller: SpiffeId
    ) -> api.Video:
        """Store a video. Without a last chunk nothing is stored."""
        with queue_errors():
            return await send_file(
                self._stub.Upload(timeout=self._request_seconds, metadata=_on_behalf_of(caller)),
                api.UploadRequest,
                metadata,
                chunks,
                # Like a short call: a queue that hangs is noticed before the first byte.
                go_ahead_seconds=self._settings.call_seconds,
                step_seconds=self._settings.idle_seconds,
            )

    def download(
        self, video_id: str, offset: int, length: int, caller: SpiffeId
    ) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes of the source from `offset` on, in chunks."""
        call = self._stub.Download(
            api.DownloadRequest(id=video_id, offset=offset, length=length),
            timeout=self._request_seconds,
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
            timeout=self._request_seconds,
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
            timeout=self._request_seconds + self._settings.call_seconds,
            metadata=_on_behalf_of(caller),
        )
        try:
            with queue_errors():
                async for video in call:
                    yield video
        finally:
            call.cancel()

    async def _next(self, messages: AsyncIterator[_Message]) -> _Message | None:
        async with step_within(self._settings.idle_seconds):
            return await anext(messages, None)


QUEUE: Final = web.AppKey("QUEUE", QueueClient)
