"""A video queue in the test's own process: it remembers what is called, and does as it is told."""

# ruff: noqa: N802  the methods are named in video_queue.proto

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueServicer

Context = grpc.aio.ServicerContext[Any, Any]
Status = tuple[grpc.StatusCode, str]

LOST: Status = (grpc.StatusCode.ABORTED, "The lease is no longer yours.")
DELETED: Status = (grpc.StatusCode.NOT_FOUND, "There is no such video.")
BROKEN: Status = (grpc.StatusCode.UNAVAILABLE, "Shutting down.")
SURPRISE: Status = (grpc.StatusCode.INTERNAL, "Something went wrong.")

CONTENT = b"moving pictures"
PATIENCE_SECONDS = 60  # what converts has a low priority, and a busy machine little time for it


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or a heartbeat. `what` is a status, a percentage, or the name of a file."""

    method: str
    video: str = ""
    what: object = None


@dataclass(frozen=True, slots=True)
class Published:
    """A file that came to its end."""

    metadata: api.RenditionMetadata
    content: bytes


@dataclass
class FakeQueue(VideoQueueServicer):
    """A claim is given out as soon as there is one; the lease is long unless a test shortens it."""

    lease_seconds: int = 3000
    content: bytes = CONTENT
    chunk_bytes: int = 4
    claims: "asyncio.Queue[api.Claim]" = field(default_factory=asyncio.Queue)
    waits: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    failures: dict[str, list[Status | None]] = field(default_factory=dict)
    answers_heartbeats: asyncio.Event = field(default_factory=asyncio.Event)
    failures_within_files: list[Status] = field(default_factory=list)
    refuses_files: bool = False
    sent_unasked: list[api.PublishRenditionRequest] = field(default_factory=list)
    sends_without_end: bool = False
    fetch_ended: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: dict[str, Status] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers_heartbeats.set()

    def add(self, video_id: str, **fields: Any) -> None:
        """Offer a video to the workers."""
        defaults: dict[str, Any] = {
            "id": video_id,
            "title": "a title",
            "size_bytes": len(self.content),
            "sha256": hashlib.sha256(self.content).digest(),
        }
        self.claims.put_nowait(
            api.Claim(
                video=api.Video(**(defaults | fields)),
                lease=api.Lease(video_id=video_id, token=7),
                lease_seconds=self.lease_seconds,
                attempt=1,
            )
        )

    def lose(self, video_id: str, status: Status = LOST) -> None:
        """End whatever is done with this video, at once."""
        self._lost[video_id] = status
        self._wake()

    def fail(self, method: str, *statuses: Status | None) -> None:
        """Let the next calls of that method end like this; None for one that does not."""
        self.failures.setdefault(method, []).extend(statuses)

    async def until(self, wanted: Callable[[], object]) -> None:
        """Return when it is true; calls make it be asked again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._until(wanted)

    async def _until(self, wanted: Callable[[], object]) -> None:
        while not wanted():
            self._news.clear()
            await self._news.wait()

    async def came(self, call: Call, times: int = 1) -> None:
        """Return when this call has come so many times."""
        await self.until(lambda: self.calls.count(call) >= times)

    async def completed(self, video_id: str) -> None:
        """Return when the video is reported to be completed."""
        await self.came(Call("UpdateVideoStatus", video_id, "COMPLETED"))

    def reports(self, video_id: str) -> list[str]:
        """Return the statuses that were reported of a video."""
        return [
            str(call.what)
            for call in self.calls
            if (call.method, call.video) == ("UpdateVideoStatus", video_id)
        ]

    def _wake(self) -> None:
        self._news.set()

    async def _note(self, context: Context, call: Call) -> None:
        self.calls.append(call)
        self._wake()
        if (failures := self.failures.get(call.method)) and (failure := failures.pop(0)):
            if failure in (LOST, DELETED):  # what is lost stays lost
                self._lost[call.video] = failure
            await context.abort(*failure)
        if status := self._lost.get(call.video):
            await context.abort(*status)

    async def ClaimVideo(
        self, request: api.ClaimVideoRequest, context: Context
    ) -> api.ClaimVideoResponse:
        self.waits.append(request.wait_seconds)
        await self._note(context, Call("ClaimVideo"))
        if request.wait_seconds == 0 and self.claims.empty():
            return api.ClaimVideoResponse()
        return api.ClaimVideoResponse(claim=await self.claims.get())

    async def UpdateVideoStatus(
        self, request: api.UpdateVideoStatusRequest, context: Context
    ) -> api.UpdateVideoStatusResponse:
        name = api.VideoStatus.Name(request.status).removeprefix("VIDEO_STATUS_")
        what = f"{name}: {request.failure_reason}" if request.failure_reason else name
        await self._note(context, Call("UpdateVideoStatus", request.lease.video_id, what))
        return api.UpdateVideoStatusResponse()

    async def FetchSource(
        self, request: api.FetchSourceRequest, context: Context
    ) -> AsyncIterator[api.FetchSourceResponse]:
        await self._note(context, Call("FetchSource", request.lease.video_id))
        # The stubs ask for a class of their own.
        context.add_done_callback(lambda _: self.fetch_ended.set())  # type: ignore[arg-type]
        for start in range(0, len(self.content), self.chunk_bytes):
            yield api.FetchSourceResponse(chunk=self.content[start : start + self.chunk_bytes])
        while self.sends_without_end:
            yield api.FetchSourceResponse(chunk=b"more")

    async def Heartbeat(
        self, request_iterator: AsyncIterator[api.HeartbeatRequest], context: Context
    ) -> AsyncIterator[api.HeartbeatResponse]:
        requests, video_id = aiter(request_iterator), ""
        while request := await self._next(requests, video_id, context):
            video_id = request.lease.video_id
            await self._note(context, Call("Heartbeat", video_id, request.progress_percent))
            await self.answers_heartbeats.wait()
            yield api.HeartbeatResponse(lease_seconds=self.lease_seconds)

    async def _next(
        self, requests: AsyncIterator[api.HeartbeatRequest], video_id: str, context: Context
    ) -> api.HeartbeatRequest | None:
        """Return the next heartbeat, unless the video is lost before it comes."""
        reading = asyncio.ensure_future(anext(requests, None))
        losing = asyncio.ensure_future(self._until(lambda: video_id in self._lost))
        await asyncio.wait({reading, losing}, return_when=asyncio.FIRST_COMPLETED)
        losing.cancel()
        if not reading.done():
            reading.cancel()
            await context.abort(*self._lost[video_id])
        return reading.result()

    async def PublishRendition(
        self, request_iterator: AsyncIterator[api.PublishRenditionRequest], context: Context
    ) -> api.Rendition:
        metadata = (await anext(aiter(request_iterator))).metadata
        call = Call("PublishRendition", metadata.lease.video_id, metadata.name)
        await self._note(context, call)
        if self.refuses_files:
            await self._refuse(request_iterator, context)
        await context.send_initial_metadata((("go-ahead", "yes"),))
        content = bytearray()
        async for request in request_iterator:
            content += request.chunk
            if request.HasField("end"):
                assert request.end.size_bytes == len(content)
                self.published.append(Published(metadata, bytes(content)))
                return api.Rendition(name=metadata.name, size_bytes=len(content))
            if self.failures_within_files:
                await context.abort(*self.failures_within_files.pop())
        await context.abort(grpc.StatusCode.ABORTED, "The stream broke off.")
        raise AssertionError

    async def _refuse(
        self, requests: AsyncIterator[api.PublishRenditionRequest], context: Context
    ) -> None:
        """End the call a moment after its initial metadata, and note what came in between."""
        await context.send_initial_metadata(())
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                self.sent_unasked.append(await anext(requests))
        await context.abort(*LOST)
