"""The real worker and a fake queue, with real mutual TLS between them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mtls.grpc_server import server_credentials
from mtls.identity import Identity, load_identity
from mtls.identity_source import IdentitySource

import grpc.aio
import pytest
from structlog.testing import capture_logs

from demo_identities import IDENTITIES
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.unit.transcoder.fake_queue import PATIENCE_SECONDS, FakeQueue
from transcoder.config import Config
from transcoder.job import MediaFile
from transcoder.queue_client import QueueClient
from transcoder.sandbox.limits import Limits
from transcoder.worker import Worker
from videoqueue_api.v1.video_queue_pb2_grpc import add_VideoQueueServicer_to_server
from videoqueue_client.channel import queue_channel

Events = list[MutableMapping[str, Any]]


def named(events: Events, name: str) -> Events:
    """Return the events of that name."""
    return [event for event in events if event["event"] == name]


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the certificates of every identity."""
    folder, authority = tmp_path_factory.mktemp("certs"), Authority.create(IDENTITIES)
    lists = authority.crl()
    for identity in IDENTITIES:
        write_identity(
            folder / identity.name, authority.issue(identity), authority.ca_pem, crl_pem=lists
        )
    return folder


@pytest.fixture(scope="session")
def identities(certs: Path) -> Mapping[str, Identity]:
    """Every identity, by its name."""
    return {it.name: load_identity(certs / it.name, roles=frozenset()) for it in IDENTITIES}


def names_in(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return [path.name for path in folder.iterdir()]


def content_of(path: Path) -> bytes:
    """Return the bytes of a file."""
    return path.read_bytes()


@dataclass
class Server:
    """Where the fake queue is served; it can go away, and come back at the same port."""

    queue: FakeQueue
    identity: Identity
    port: int = 0
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        add_VideoQueueServicer_to_server(self.queue, self._server)
        address = f"127.0.0.1:{self.port}"
        self.port = self._server.add_secure_port(
            address, server_credentials(IdentitySource(self.identity))
        )
        await self._server.start()

    async def stop(self) -> None:
        if self._server:
            await self._server.stop(None)


@dataclass
class Child:
    """Stands in for the process that transcodes: does as it is told."""

    sources: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0
    errors: list[Exception] = field(default_factory=list)
    files: Mapping[str, bytes] = field(
        default_factory=lambda: {"720p.mp4": b"720" * 300_000, "thumbnail.jpg": b"picture"}
    )
    report: Callable[[int], None] = lambda _: None
    limits: Limits | None = None

    def __post_init__(self) -> None:
        self.may_end.set()

    async def begins(self) -> bytes:
        """Return the source of the next video that is begun."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.sources.get()

    async def transcode(
        self,
        source: Path,
        folder: Path,
        limits: Limits,
        on_progress: Callable[[int], None],
    ) -> tuple[MediaFile, ...]:
        self.report, self.limits = on_progress, limits
        self.sources.put_nowait(content_of(source))
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.errors:
            raise self.errors.pop(0)
        return tuple(self._write(folder / name, content) for name, content in self.files.items())

    def _write(self, path: Path, content: bytes) -> MediaFile:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return MediaFile(
            name=path.stem,
            content=path.open("rb"),
            content_type="video/mp4",
            width=1280,
            height=720,
            duration_seconds=1.5,
            size_bytes=len(content),
        )


@pytest.fixture
async def queue() -> FakeQueue:
    return FakeQueue()  # type: ignore[abstract]  # it has only the worker's calls


@pytest.fixture
async def server(queue: FakeQueue, identities: Mapping[str, Identity]) -> AsyncIterator[Server]:
    server = Server(queue, identities["video-queue"])
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def child() -> Child:
    return Child()


@pytest.fixture
def events() -> Iterator[Events]:
    with capture_logs() as events:
        yield events


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def config(server: Server, identities: Mapping[str, Identity], scratch: Path) -> Config:
    variables = {
        "TRANSCODER_IDENTITY": str(identities["transcoder"].folder),
        "TRANSCODER_QUEUE": f"localhost:{server.port}",
        "TRANSCODER_WORK": str(scratch),
        "TRANSCODER_HEARTBEAT_SECONDS": "0.01",
        "TRANSCODER_RETRY_SECONDS": "0.01",
    }
    return Config.from_environment(variables)


Start = Callable[..., Any]


@pytest.fixture
async def start(
    config: Config, identities: Mapping[str, Identity], scratch: Path, child: Child, events: Events
) -> AsyncIterator[Start]:
    """Yield a function that starts the worker, and returns one that stops it."""
    async with AsyncExitStack() as stack:

        async def start(identity: str = "transcoder", **settings: Any) -> Callable[[], Any]:
            changed = replace(config, **settings)
            running = await stack.enter_async_context(AsyncExitStack())
            source = IdentitySource(identities[identity])
            channel = await running.enter_async_context(queue_channel(changed.queue, source))
            client = QueueClient(channel, changed)
            worker = Worker(client, scratch, changed, child.transcode)
            await running.enter_async_context(running_worker(worker))
            return running.aclose

        yield start


@asynccontextmanager
async def running_worker(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
