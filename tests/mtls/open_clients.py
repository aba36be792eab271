"""Clients whose connections stay open, with a call under way on each: what becomes of them?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from demo_identities import identity_named
from impostors import Impostor, tls_context
from local_stack import Service, Stack
from pki.authority import Issued
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

WATCH_HEALTH: Final = "/grpc.health.v1.Health/Watch"
_SECONDS: Final = 30
_FOR_UPLOADER: Final = (("on-behalf-of", identity_named("client/uploader").uri),)


class OpenSession:
    """A client of the gateway whose connections stay open; `connections` counts them."""

    session: aiohttp.ClientSession
    connections = 0

    async def count(self, *_: object) -> None:
        self.connections += 1

    async def titles(self) -> set[str]:
        """Make a call."""
        async with self.session.get("/videos") as response:
            response.raise_for_status()
            return {video["title"] for video in (await response.json())["videos"]}


@asynccontextmanager
async def open_session(
    stack: Stack, gateway: Service, issued: Issued
) -> AsyncIterator[OpenSession]:
    context = tls_context(stack.authority.ca_pem, Impostor("client", issued))
    opened, tracing = OpenSession(), aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(opened.count)
    async with aiohttp.ClientSession(
        f"https://{gateway.address}",
        connector=aiohttp.TCPConnector(ssl=context),
        trace_configs=[tracing],
    ) as opened.session:
        yield opened


async def under_way(session: aiohttp.ClientSession, title: str, go_on: asyncio.Event) -> int:
    """Upload a video, the second half of it when told to; return the status."""

    async def halves() -> AsyncIterator[bytes]:
        yield b"half of it"
        await go_on.wait()
        yield b"and the rest"

    form = aiohttp.FormData({"title": title})
    form.add_field("file", halves(), filename="a.mp4", content_type="video/mp4")
    async with session.post("/videos", data=form) as response:
        return response.status


@asynccontextmanager
async def open_channel(
    stack: Stack, queue: Service, issued: Issued
) -> AsyncIterator[grpc.aio.Channel]:
    """A client of the queue whose connection stays open: its own, shared with no other channel."""
    credentials = grpc.ssl_channel_credentials(
        stack.authority.ca_pem, issued.key_pem, issued.chain_pem
    )
    async with grpc.aio.secure_channel(queue.address, credentials) as channel:
        yield channel


async def watching_health(channel: grpc.aio.Channel) -> Any:
    """Begin a call that does not end, and return it when it has begun."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    call = stub.Watch(health_pb2.HealthCheckRequest())
    async with asyncio.timeout(_SECONDS):
        await call.read()
    return call


async def list_videos(channel: grpc.aio.Channel) -> None:
    await VideoQueueStub(channel).ListVideos(
        api.ListVideosRequest(), metadata=_FOR_UPLOADER, timeout=_SECONDS
    )
