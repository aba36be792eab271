"""The limits of the queue times what each call holds fit into its container, which is tried here.

Otherwise the kernel's out-of-memory killer would be the limit, and end the calls of everybody.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from mtls import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc.aio
import pytest

from local_stack import ROOT, Service, Stack
from tests.unit.video_queue.test_servicer import parts
from video_queue.config import Config
from video_queue.policy import CALLERS
from video_queue.server import MAX_CALLS_PER_IDENTITY
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

KIB: Final = 1024
MIB: Final = 1024 * KIB

# What each holds at most: more than is measured below, for what a machine may do otherwise.
START: Final = 96 * MIB
CONNECTION: Final = 128 * KIB
WAITING: Final = 48 * KIB  # a watch, a claim that waits, or any other call that holds no chunks
DOWNLOAD: Final = 640 * KIB  # whose client does not read
UPLOAD: Final = 4864 * KIB  # in chunks of 1 MB, the largest that are taken, on a slow disk
# With an object store: its libraries, what a download has received, the two parts of an upload.
DRIVERS: Final = 64 * MIB
RECEIVED: Final = 1 * MIB
PARTS: Final = 2 * 5 * MIB


def test_all_limits_together_fit_into_the_container() -> None:
    defaults = Config.from_environment({"VIDEO_QUEUE_IDENTITY": "/c", "VIDEO_QUEUE_DATA": "/d"})
    calls = defaults.service
    needed = (
        START
        + defaults.max_connections * CONNECTION
        + len(CALLERS) * MAX_CALLS_PER_IDENTITY * WAITING
        + calls.downloads.total * DOWNLOAD
        + (calls.uploads.total + calls.worker_transfers) * UPLOAD
    )
    assert needed <= memory_limit("docker-compose.yml"), f"{needed / MIB:.0f} MiB are needed"


def test_with_an_object_store_they_fit_too() -> None:
    block = queue_in("deploy/scale-out.yml")
    variables = dict(re.findall(r"(VIDEO_QUEUE_\w+): (\S+)", block))
    defaults = Config.from_environment({"VIDEO_QUEUE_IDENTITY": "/c", **variables})
    calls = defaults.service
    assert calls.bucket
    assert calls.bucket.part_bytes * 2 == PARTS
    needed = (
        START
        + DRIVERS
        + defaults.max_connections * CONNECTION
        + len(CALLERS) * MAX_CALLS_PER_IDENTITY * WAITING
        + calls.downloads.total * (DOWNLOAD + RECEIVED)
        + (calls.uploads.total + calls.worker_transfers) * (UPLOAD + PARTS)
    )
    assert needed <= memory_limit("deploy/scale-out.yml"), f"{needed / MIB:.0f} MiB are needed"


def queue_in(compose: str) -> str:
    """Return what a compose file says of the queue."""
    text = (ROOT / compose).read_text()
    return text[text.index("\n  video-queue:") : text.index("\n  gateway:")]


def memory_limit(compose: str) -> int:
    limit = re.search(r"mem_limit: (\d+)m\b", queue_in(compose))
    assert limit
    return int(limit[1]) * MIB


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[tuple[Stack, Service]]:
    stack = Stack(tmp_path)
    stack.write_certificates()
    with stack.start_queue(VIDEO_QUEUE_MAX_WATCHES_PER_IDENTITY="500") as queue:
        yield stack, queue


def memory(queue: Service, name: str = "VmRSS") -> int:
    """Return the memory of the queue's process in bytes: now, or at its peak (`VmHWM`)."""
    status = Path(f"/proc/{queue.process.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * KIB


@pytest.mark.database("sqlite")
async def test_each_call_holds_less_than_that(queue: tuple[Stack, Service]) -> None:
    stack, server = queue
    identity = load_identity(stack.certs / "gateway", roles=frozenset({Role.CLIENT}))
    own_connection = (("grpc.use_local_subchannel_pool", 1),)

    async with AsyncExitStack() as closing:
        stubs: list[Any] = [
            VideoQueueStub(
                await closing.enter_async_context(
                    grpc.aio.secure_channel(
                        server.address, channel_credentials(identity), own_connection
                    )
                )
            )
            for _ in range(100)
        ]
        chunks = [b"x" * 250_000] * 20
        video = await stubs[0].Upload(iter(parts(*chunks)), metadata=on_behalf_of(0))
        before = memory(server)
        assert before < START

        for stub in stubs[1:]:
            await stub.ListVideos(api.ListVideosRequest())
        assert (memory(server) - before) / len(stubs[1:]) < CONNECTION

        before, watches = memory(server), []
        for _ in range(300):
            watch = stubs[0].WatchVideo(api.WatchVideoRequest(id=video.id))
            watches.append(watch)
            await watch.read()
        assert (memory(server) - before) / len(watches) < WAITING

        before, downloads = memory(server), []
        for number, stub in enumerate(stubs[:60]):
            request = api.DownloadRequest(id=video.id)
            download = stub.Download(request, metadata=on_behalf_of(number % 10))
            downloads.append(download)
            await download.read()
        assert (memory(server) - before) / len(downloads) < DOWNLOAD
        for call in downloads:
            call.cancel()

        before = memory(server)
        chunks = [b"x" * 1_000_000] * 8
        stored = await asyncio.gather(
            *(
                stub.Upload(iter(parts(*chunks)), metadata=on_behalf_of(number % 10))
                for number, stub in enumerate(stubs[60:90])
            )
        )
        assert (memory(server, "VmHWM") - before) / len(stored) < UPLOAD


def on_behalf_of(number: int) -> tuple[tuple[str, str], ...]:
    return (("on-behalf-of", f"spiffe://video-demo.test/client/{number}"),)
