"""The calls of video_queue.proto: each one translates, and the domain does the work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Self

import grpc.aio

from video_queue.api.callers import caller, identity_behind, person_behind
from video_queue.api.messages import (
    beat_in,
    claim_message,
    lease_in,
    metadata_in,
    rendition_in,
    rendition_message,
    report_in,
    video_message,
)
from video_queue.api.pages import decode_page_token, encode_page_token, page_size_of
from video_queue.api.status_codes import StatusOfErrors
from video_queue.api.streams import GO_AHEAD, chunks_in, next_of, paced
from video_queue.domain.capacity import Capacity, Pool
from video_queue.domain.errors import InvalidRequest
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueServicer

_MAX_WAIT_SECONDS: Final = 60

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Pools:
    """A pool for each kind of call that lasts. Heartbeats have none: none is ever refused.

    A transfer of a worker waits for its turn, since a refusal would cost its video an attempt.
    """

    watches: Pool
    uploads: Pool
    downloads: Pool
    claims: Pool
    worker_transfers: asyncio.Semaphore

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return empty pools. All workers have one identity, whose share is the whole pool."""
        return cls(
            Pool("watches", settings.watches),
            Pool("uploads", settings.uploads),
            Pool("downloads", settings.downloads),
            Pool("claims", Capacity(settings.claims, settings.claims)),
            asyncio.Semaphore(settings.worker_transfers),
        )


class Servicer(VideoQueueServicer):
    """A call gets here when the policy has allowed it: policy.py."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._uploads = store.uploads
        self._publishing = store.publishing
        self._library = store.library
        self._work = store.work
        self._notifier = store.notifier
        self._limits = settings.limits
        self._idle_seconds = settings.idle_seconds
        self._lease_seconds = settings.lease_seconds
        self.pools = Pools.of(settings)

    async def Upload(  # noqa: D102, N802  named and described in video_queue.proto
        self, request_iterator: AsyncIterator[api.UploadRequest], context: _Context
    ) -> api.Video:
        async with StatusOfErrors(context):
            owner = person_behind(context)
            with self.pools.uploads.admit(owner):
                first = await next_of(request_iterator, idle_seconds=self._idle_seconds)
                metadata = metadata_in(first, self._limits)
                await self._uploads.check(owner, metadata)
                await context.send_initial_metadata(GO_AHEAD)
                async with chunks_in(request_iterator, idle_seconds=self._idle_seconds) as chunks:
                    return video_message(await self._uploads.receive(owner, metadata, chunks))

    async def GetVideo(  # noqa: D102, N802
        self, request: api.GetVideoRequest, context: _Context
    ) -> api.Video:
        async with StatusOfErrors(context):
            return video_message(await self._library.get(request.id))

    async def ListVideos(  # noqa: D102, N802
        self, request: api.ListVideosRequest, context: _Context
    ) -> api.ListVideosResponse:
        async with StatusOfErrors(context):
            before = decode_page_token(request.page_token) if request.page_token else None
            videos, last = await self._library.page(page_size_of(request.page_size), before)
            return api.ListVideosResponse(
                videos=map(video_message, videos),
                next_page_token="" if last is None else encode_page_token(last),
            )

    async def WatchVideo(  # noqa: D102, N802
        self, request: api.WatchVideoRequest, context: _Context
    ) -> AsyncIterator[api.Video]:
        async with StatusOfErrors(context):
            with self.pools.watches.admit(identity_behind(context)):
                async with aclosing(self._library.watch(request.id)) as videos:
                    async for video in videos:
                        yield video_message(video)

    async def Download(  # noqa: D102, N802
        self, request: api.DownloadRequest, context: _Context
    ) -> AsyncIterator[api.DownloadResponse]:
        length = request.length if request.HasField("length") else None
        async with StatusOfErrors(context):
            with self.pools.downloads.admit(identity_behind(context)):
                reading = self._library.reading(request.id, request.offset, length)
                async with reading as (video, chunks):
                    yield api.DownloadResponse(video=video_message(video))
                    async for chunk in chunks:
                        yield api.DownloadResponse(chunk=chunk)

    async def DownloadRendition(  # noqa: D102, N802
        self, request: api.DownloadRenditionRequest, context: _Context
    ) -> AsyncIterator[api.DownloadRenditionResponse]:
        length = request.length if request.HasField("length") else None
        async with StatusOfErrors(context):
            with self.pools.downloads.admit(identity_behind(context)):
                reading = self._library.reading_rendition(
                    request.video_id, request.name, request.offset, length
                )
                async with reading as (rendition, chunks):
                    yield api.DownloadRenditionResponse(rendition=rendition_message(rendition))
                    async for chunk in chunks:
                        yield api.DownloadRenditionResponse(chunk=chunk)

    async def DeleteVideo(  # noqa: D102, N802
        self, request: api.DeleteVideoRequest, context: _Context
    ) -> api.DeleteVideoResponse:
        async with StatusOfErrors(context):
            await self._library.delete(request.id, person_behind(context))
            return api.DeleteVideoResponse()

    async def ClaimVideo(  # noqa: D102, N802
        self, request: api.ClaimVideoRequest, context: _Context
    ) -> api.ClaimVideoResponse:
        async with StatusOfErrors(context):
            if not 0 <= request.wait_seconds <= _MAX_WAIT_SECONDS:
                raise InvalidRequest(f"A worker may wait 0 to {_MAX_WAIT_SECONDS} seconds.")
            worker = caller(context)
            with self.pools.claims.admit(worker):
                claim = await self._work.claim(worker, request.wait_seconds)
            return claim_message(claim, self._lease_seconds, self._limits)

    async def FetchSource(  # noqa: D102, N802
        self, request: api.FetchSourceRequest, context: _Context
    ) -> AsyncIterator[api.FetchSourceResponse]:
        async with (
            StatusOfErrors(context),
            self.pools.worker_transfers,
            self._work.reading(lease_in(request)) as chunks,
        ):
            async for chunk in chunks:
                yield api.FetchSourceResponse(chunk=chunk)

    async def Heartbeat(  # noqa: D102, N802
        self, request_iterator: AsyncIterator[api.HeartbeatRequest], context: _Context
    ) -> AsyncIterator[api.HeartbeatResponse]:
        requests = paced(
            request_iterator, self._notifier, longest_pause_seconds=self._lease_seconds
        )
        async with StatusOfErrors(context), aclosing(requests):
            async for request in requests:
                await self._work.beat(caller(context), lease_in(request), beat_in(request))
                yield api.HeartbeatResponse(lease_seconds=self._lease_seconds)

    async def PublishRendition(  # noqa: D102, N802
        self, request_iterator: AsyncIterator[api.PublishRenditionRequest], context: _Context
    ) -> api.Rendition:
        async with StatusOfErrors(context):
            worker = caller(context)
            async with self.pools.worker_transfers:
                first = await next_of(request_iterator, idle_seconds=self._idle_seconds)
                lease, metadata = rendition_in(first)
                await self._publishing.check(lease, metadata)
                await context.send_initial_metadata(GO_AHEAD)
                async with chunks_in(request_iterator, idle_seconds=self._idle_seconds) as chunks:
                    return rendition_message(
                        await self._publishing.receive(worker, lease, metadata, chunks)
                    )

    async def UpdateVideoStatus(  # noqa: D102, N802
        self, request: api.UpdateVideoStatusRequest, context: _Context
    ) -> api.UpdateVideoStatusResponse:
        async with StatusOfErrors(context):
            await self._work.report(caller(context), lease_in(request), report_in(request))
            return api.UpdateVideoStatusResponse()
