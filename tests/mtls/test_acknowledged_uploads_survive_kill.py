"""An acknowledgement is a promise: kill -9 breaks none, and leaves nothing half done."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity

import grpc.aio

from demo_identities import identity_named
from local_postgresql import QUEUE, local_postgresql
from local_stack import Service, Stack
from pki.identity_folder import write_identity
from tests.needs import require_postgresql
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

ROUNDS: Final = 12
ROUNDS_IN_POSTGRESQL: Final = 2
UPLOADERS: Final = 4
CHUNK_BYTES: Final = 64 * 1024
FOR_UPLOADER: Final = (("on-behalf-of", identity_named("client/uploader").uri),)


@dataclass
class Diary:
    """What was sent, by title, and what was acknowledged, by ID; both as SHA-256."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Fuse:
    """Kills the queue after so many steps: chunks sent and acknowledgements received."""

    queue: Service
    steps: int

    def burn(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.queue.kill()


@asynccontextmanager
async def connected(stack: Stack, queue: Service) -> AsyncIterator[VideoQueueStub]:
    identity = load_identity(stack.certs / "gateway", roles=frozenset({Role.CLIENT}))
    async with grpc.aio.secure_channel(queue.address, channel_credentials(identity)) as channel:
        yield VideoQueueStub(channel)


async def upload_until_it_dies(
    stub: VideoQueueStub, name: str, chance: random.Random, diary: Diary, fuse: Fuse
) -> None:
    """Upload one video after the other."""

    async def messages(title: str, content: bytes) -> AsyncIterator[api.UploadRequest]:
        yield api.UploadRequest(metadata=api.UploadMetadata(title=title, content_type="video/mp4"))
        for start in range(0, len(content), CHUNK_BYTES):
            yield api.UploadRequest(chunk=content[start : start + CHUNK_BYTES])
            fuse.burn()
        yield api.UploadRequest(end=api.StreamEnd(size_bytes=len(content)))

    number = 0
    while True:
        title, number = f"{name} {number}", number + 1
        content = chance.randbytes(chance.randint(1, 8 * CHUNK_BYTES))
        diary.sent[title] = hashlib.sha256(content).digest()
        try:
            video = await stub.Upload(messages(title, content), metadata=FOR_UPLOADER, timeout=30)
        except grpc.aio.AioRpcError:
            if fuse.steps > 0:
                raise
            return
        diary.acknowledged[video.id] = diary.sent[title]
        fuse.burn()


async def kill_during_uploads(
    stack: Stack, queue: Service, round_name: str, chance: random.Random, diary: Diary
) -> None:
    fuse = Fuse(queue, steps=chance.randint(1, 120))
    async with connected(stack, queue) as stub, asyncio.TaskGroup() as uploaders:
        for uploader in range(UPLOADERS):
            name = f"round {round_name} uploader {uploader}"
            uploaders.create_task(upload_until_it_dies(stub, name, chance, diary, fuse))


async def listed(stub: VideoQueueStub) -> list[api.Video]:
    videos: list[api.Video] = []
    token = ""
    while True:
        page = await stub.ListVideos(api.ListVideosRequest(page_token=token), timeout=30)
        videos += page.videos
        if not (token := page.next_page_token):
            return videos


async def downloaded_sha256(stub: VideoQueueStub, video_id: str) -> bytes:
    sha256 = hashlib.sha256()
    async for message in stub.Download(api.DownloadRequest(id=video_id), timeout=30):
        sha256.update(message.chunk)
    return sha256.digest()


async def check_after_restart(
    stub: VideoQueueStub, data: Path, diary: Diary, known: set[str]
) -> None:
    """Look at every video; download those that are not `known` from an earlier round."""
    videos = {video.id: video for video in await listed(stub)}
    assert set(diary.acknowledged) <= set(videos)
    for video in videos.values():
        assert video.sha256 == diary.sent[video.title]
        if video.id not in known:
            assert await downloaded_sha256(stub, video.id) == diary.sent[video.title]
    files = {path.name for path in (data / "sources").iterdir()}
    assert files == set(videos)
    assert list((data / "incoming").iterdir()) == []
    known |= set(videos)


async def test_acknowledged_uploads_survive_kill(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.write_certificates()
    diary = await kill_again_and_again(stack, ROUNDS, lambda: None)
    assert len(diary.acknowledged) > ROUNDS  # there was something to lose
    assert len(diary.sent) > len(diary.acknowledged)  # and the kills came during uploads


async def test_they_survive_in_postgresql_which_is_killed_too(tmp_path: Path) -> None:
    """The queue shows its certificate there; of a few rounds, since each starts two servers."""
    require_postgresql()
    stack = Stack(tmp_path)
    stack.write_certificates()
    authority, folder = stack.authority, stack.certs / "video-queue"
    crl_pem = authority.crl()
    write_identity(folder, authority.issue(QUEUE), authority.ca_pem, crl_pem=crl_pem)
    with local_postgresql(authority, fast=False) as database:

        def kill_database() -> None:
            database.kill()
            database.start()

        diary = await kill_again_and_again(
            stack, ROUNDS_IN_POSTGRESQL, kill_database, VIDEO_QUEUE_DATABASE_URL=database.url
        )
        assert int(database.run("SELECT count(*) FROM videos")) >= len(diary.acknowledged)
    assert len(diary.acknowledged) > ROUNDS_IN_POSTGRESQL
    assert len(diary.sent) > len(diary.acknowledged)


async def kill_again_and_again(
    stack: Stack, rounds: int, between: Callable[[], None], **variables: str
) -> Diary:
    """Kill the queue in each round, and do what is to be done before its next start."""
    diary, chance = Diary(), random.Random(20)  # noqa: S311  no secret
    known: set[str] = set()
    start = partial(stack.start_queue, **variables)
    queue = await asyncio.to_thread(start)
    try:
        for number in range(rounds):
            await kill_during_uploads(stack, queue, str(number), chance, diary)
            await asyncio.to_thread(between)
            queue = await asyncio.to_thread(start)
            async with connected(stack, queue) as stub:
                await check_after_restart(stub, stack.folder / "data", diary, known)
        async with connected(stack, queue) as stub:
            await check_after_restart(stub, stack.folder / "data", diary, known=set())
    finally:
        queue.stop()
    return diary
