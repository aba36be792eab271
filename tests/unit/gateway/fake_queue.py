"""A video queue in the test's own process: it remembers its calls, and does as it is told."""

# ruff: noqa: N802  the methods are named in video_queue.proto

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueServicer

Context = grpc.aio.ServicerContext[Any, Any]
# A code and a text, and perhaps trailing metadata.
Status = tuple[grpc.StatusCode, str] | tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]

PATIENCE_SECONDS = 20
VIDEO_ID = "0198c0de-0000-7000-8000-000000000001"
OWNER = "spiffe://video-demo.test/client/uploader"


async def happened(event: asyncio.Event) -> None:
    """Return when it has; a test that waits in vain fails."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


def make_video(content: bytes = b"moving pictures", **fields: Any) -> api.Video:
    """Return a video whose size and hash fit its content."""
    defaults: dict[str, Any] = {
        "id": VIDEO_ID,
        "owner": OWNER,
        "title": "clip",
        "content_type": "video/mp4",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).digest(),
        "status": api.VIDEO_STATUS_PENDING,
        "created_at": Timestamp(seconds=1_700_000_000),
        "updated_at": Timestamp(seconds=1_700_000_000, nanos=500_000_000),
    }
    return api.Video(**(defaults | fields))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came in; `metadata` is without what gRPC itself adds."""

    method: str
    metadata: tuple[tuple[str, str | bytes], ...]
    request: Message | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload that came to its end."""

    metadata: api.UploadMetadata
    content: bytes


@dataclass
class FakeQueue(VideoQueueServicer):
    """`fail` makes every call end with this status, `fail_next` the next ones of a method.

    The events say when to go on.
    """

    content: bytes = b"moving pictures"
    renditions: dict[str, bytes] = field(default_factory=dict)
    fail: Status | None = None
    fail_next: dict[str, list[grpc.StatusCode]] = field(default_factory=dict)
    fail_upload_after_metadata: Status | None = None
    fail_download: tuple[grpc.StatusCode, str] | None = None
    health: int = health_pb2.HealthCheckResponse.SERVING
    calls: list[Call] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    first_chunk_arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ends: "asyncio.Queue[Literal['whole', 'cut off']]" = field(default_factory=asyncio.Queue)
    news: "asyncio.Queue[api.Video | None]" = field(default_factory=asyncio.Queue)
    news_ends_with: tuple[grpc.StatusCode, str] = (grpc.StatusCode.NOT_FOUND, "It is gone.")
    download_ends_after: int | None = None
    chunk_bytes: int = 4
    sent_bytes: int = 0

    def __post_init__(self) -> None:
        self.video = make_video(self.content)
        self.reading.set()
        self.answering.set()

    async def _enter(self, method: str, context: Context, request: Message | None = None) -> None:
        metadata = tuple(
            (key, value)
            for key, value in context.invocation_metadata() or ()
            if key != "user-agent"
        )
        self.calls.append(Call(method, metadata, request))
        self.called.set()
        if self.fail:
            await context.abort(*self.fail)
        if codes := self.fail_next.get(method):
            await context.abort(codes.pop(0), "the next may do better")
        try:
            await self.answering.wait()
        except asyncio.CancelledError:
            self.ends.put_nowait("cut off")
            raise

    @contextmanager
    def _telling_how_it_ends(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.ends.put_nowait("cut off")
            raise
        self.ends.put_nowait("whole")

    async def check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        await self._enter("Check", context, request)
        return health_pb2.HealthCheckResponse(status=self.health)

    async def Upload(
        self, request_iterator: AsyncIterator[api.UploadRequest], context: Context
    ) -> api.Video:
        await self._enter("Upload", context)
        metadata = (await anext(request_iterator)).metadata
        if self.fail_upload_after_metadata:
            await context.abort(*self.fail_upload_after_metadata)
        await context.send_initial_metadata((("go-ahead", "yes"),))
        content = bytearray()
        with self._telling_how_it_ends():
            await self.reading.wait()
            ended = False
            while not ended:
                request = await anext(request_iterator)
                content += request.chunk
                ended = request.HasField("end")
                self.first_chunk_arrived.set()
                await self.reading.wait()
            assert request.end.size_bytes == len(content)
            self.stored.append(Stored(metadata, bytes(content)))
        return make_video(bytes(content), title=metadata.title, description=metadata.description)

    async def GetVideo(self, request: api.GetVideoRequest, context: Context) -> api.Video:
        await self._enter("GetVideo", context, request)
        return self.video

    async def ListVideos(
        self, request: api.ListVideosRequest, context: Context
    ) -> api.ListVideosResponse:
        await self._enter("ListVideos", context, request)
        return api.ListVideosResponse(videos=[self.video], next_page_token="next")  # noqa: S106

    async def WatchVideo(
        self, request: api.WatchVideoRequest, context: Context
    ) -> AsyncIterator[api.Video]:
        await self._enter("WatchVideo", context, request)
        yield self.video
        with self._telling_how_it_ends():
            while (video := await self.news.get()) is not None:
                yield video
                if video.status == api.VIDEO_STATUS_COMPLETED:
                    return
        await context.abort(*self.news_ends_with)

    async def Download(
        self, request: api.DownloadRequest, context: Context
    ) -> AsyncIterator[api.DownloadResponse]:
        await self._enter("Download", context, request)
        if self.fail_download:
            await context.abort(*self.fail_download)
        yield api.DownloadResponse(video=self.video)
        end = request.offset + request.length if request.HasField("length") else None
        content = self.content[request.offset : end][: self.download_ends_after]
        with self._telling_how_it_ends():
            for start in range(0, len(content), self.chunk_bytes):
                yield api.DownloadResponse(chunk=content[start : start + self.chunk_bytes])
                self.sent_bytes += self.chunk_bytes

    async def DownloadRendition(
        self, request: api.DownloadRenditionRequest, context: Context
    ) -> AsyncIterator[api.DownloadRenditionResponse]:
        await self._enter("DownloadRendition", context, request)
        content = self.renditions[request.name]
        yield api.DownloadRenditionResponse(rendition=api.Rendition(name=request.name))
        end = request.offset + request.length
        yield api.DownloadRenditionResponse(chunk=content[request.offset : end])

    async def DeleteVideo(
        self, request: api.DeleteVideoRequest, context: Context
    ) -> api.DeleteVideoResponse:
        await self._enter("DeleteVideo", context, request)
        return api.DeleteVideoResponse()

    async def how_it_ended(self) -> str:
        """Wait for the end of an upload, a download or a watch: was it "whole" or "cut off"?"""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.ends.get()

    def health_handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the standard health service."""
        return grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health",
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self.check,
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
                )
            },
        )
