"""What the tests of the queue share: a config, a clock that obeys, the store, and a real server.

Whatever needs a database runs with SQLite and with PostgreSQL, which is started once.
"""

import asyncio
import dataclasses
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtls.certificates import Role
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity
from mtls.identity_source import IdentitySource

import grpc.aio
import pytest

from demo_identities import IDENTITIES, identity_named
from local_object_store import BUCKET, ObjectStore, local_object_store
from local_postgresql import QUEUE, LocalPostgresql, local_postgresql
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.needs import require_postgresql, require_seaweedfs
from video_queue.api.service import open_service
from video_queue.config import Config
from video_queue.domain.capacity import Capacity
from video_queue.domain.renditions import Rendition, RenditionMetadata
from video_queue.domain.videos import Claim, Lease, Limits, Metadata, Video
from video_queue.server import running
from video_queue.storage import store
from video_queue.storage.bucket_settings import BucketSettings
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store
from videoqueue_api.v1.video_queue_pb2_grpc import VideoQueueStub

OWNER = "spiffe://video-demo.test/client/uploader"
METADATA = Metadata("a title", "a description", "video/mp4")

Configure = Callable[..., Config]

_WITH_A_BUCKET_TOO = ("test_uploads", "test_publishing", "test_library")
_WITH_A_BUCKET_ALONE = ("test_bucket",)
_STORES: dict[str, ObjectStore] = {}


def folder_only(test: Any) -> Any:
    """Mark a test that looks into the folder, or breaks it: it is not run with a bucket."""
    test.folder_only = True
    return test


DATABASES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the store with both databases, or with the one that its mark names.

    Where a test is for a bucket too, that is with the database of those who have one.
    """
    if "database_url" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("database")
    module = metafunc.module.__name__.rpartition(".")[2]
    stores = [("folder", name) for name in (mark.args if mark else DATABASES)]
    if module in _WITH_A_BUCKET_ALONE:
        stores = [("bucket", DATABASES[0])]
    elif module in _WITH_A_BUCKET_TOO and not hasattr(metafunc.function, "folder_only"):
        stores.append(("bucket", DATABASES[-1]))
    metafunc.parametrize(
        ("where", "database_url"), stores, indirect=True, ids=["-".join(each) for each in stores]
    )


@dataclass
class Clock:
    """Time stands still until a test moves it."""

    now: dt.datetime = field(default=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))

    def __call__(self) -> dt.datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql(authority: Authority) -> Iterator[LocalPostgresql]:
    """A server for all tests of this process."""
    require_postgresql()
    with local_postgresql(authority) as server:
        yield server


def emptied(server: LocalPostgresql) -> str:
    """Return the URL of the database, in which there is nothing yet."""
    server.run("DROP OWNED BY video_queue")
    return server.socket_url


@pytest.fixture
def where(request: pytest.FixtureRequest) -> str:
    """Where files are: in a folder, or in a bucket."""
    return getattr(request, "param", "folder")


@pytest.fixture(scope="session")
def a_store(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[ObjectStore]:
    require_seaweedfs()
    with local_object_store(tmp_path_factory.mktemp("store"), authority) as running:
        yield running


@pytest.fixture
def bucket(a_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketSettings]:
    """A part of a bucket for this test alone."""
    for name, value in a_store.environment.items():
        monkeypatch.setenv(name, value)
    prefix = f"{uuid.uuid4()}/"
    _STORES[prefix] = a_store
    yield BucketSettings(bucket=BUCKET, prefix=prefix, endpoint=a_store.endpoint, ca=None)
    del _STORES[prefix]


@pytest.fixture
def identity(tmp_path: Path, authority: Authority) -> IdentitySource:
    """What the queue shows to an object store."""
    folder = tmp_path / "as-client"
    write_identity(folder, authority.issue(QUEUE), authority.ca_pem)
    return IdentitySource(load_identity(folder, roles=frozenset({Role.SERVER, Role.CLIENT})))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is empty: of SQLite, or by a Unix socket of PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'video-queue.db'}"
    return emptied(request.getfixturevalue("postgresql"))


@pytest.fixture
def settings(
    tmp_path: Path, where: str, database_url: str, request: pytest.FixtureRequest
) -> Settings:
    """Settings that differ from the defaults by being small."""
    limits = Limits(
        upload_bytes=3_000_000,
        title_length=200,
        description_length=5000,
        rendition_bytes=2_000_000,
        renditions=3,
        pending_per_owner=50,
    )
    return dataclasses.replace(
        Settings.from_environment({"VIDEO_QUEUE_DATA": str(tmp_path / "data")}),
        bucket=request.getfixturevalue("bucket") if where == "bucket" else None,
        database_url=database_url,
        limits=limits,
        quota_bytes=10_000_000,
        owner_quota_bytes=10_000_000,
        watches=Capacity(total=3, share=2),
        uploads=Capacity(total=3, share=2),
        downloads=Capacity(total=3, share=2),
        claims=2,
        worker_transfers=1,
    )


@pytest.fixture
def config(tmp_path: Path, settings: Settings) -> Config:
    """A server on a free port of loopback."""
    variables = {
        "VIDEO_QUEUE_LISTEN": "127.0.0.1:0",
        "VIDEO_QUEUE_IDENTITY": str(tmp_path / "certs" / "video-queue"),
        "VIDEO_QUEUE_DATA": str(settings.data),
        "VIDEO_QUEUE_SHUTDOWN_GRACE_SECONDS": "5",
    }
    return dataclasses.replace(Config.from_environment(variables), service=settings)


@pytest.fixture
def opened(
    settings: Settings, clock: Clock, identity: IdentitySource
) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Open the store; a second time after the first is a restart."""
    return lambda: store.opened(settings, clock, identity)


@pytest.fixture
async def queue(opened: Callable[[], AbstractAsyncContextManager[Store]]) -> AsyncIterator[Store]:
    async with opened() as queue:
        yield queue


async def chunks_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def upload(
    queue: Store, *chunks: bytes, title: str = "a title", owner: str = OWNER, **more: Any
) -> Video:
    metadata = dataclasses.replace(METADATA, title=title, **more)
    return await queue.uploads.receive(owner, metadata, chunks_of(*chunks or (b"bytes",)))


async def claim(queue: Store) -> Claim:
    claim = await queue.work.claim("worker", 0)
    assert claim is not None
    return claim


async def publish(
    queue: Store,
    lease: Lease,
    *chunks: bytes,
    name: str = "360p",
    content_type: str = "video/mp4",
    width: int = 640,
) -> Rendition:
    metadata = RenditionMetadata(
        name=name, content_type=content_type, width=width, height=360, duration_ms=0
    )
    content = chunks_of(*chunks or (b"rendition",))
    return await queue.publishing.receive("worker", lease, metadata, content)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  that is what this is for
            await asyncio.sleep(0.001)


def _sizes(settings: Settings) -> list[tuple[str, int]]:
    if settings.bucket:
        objects = _STORES[settings.bucket.prefix].objects(settings.bucket.prefix)
        return [(key.rpartition("/")[2], size) for key, size in objects]
    sizes = []
    for name in ("incoming", "sources", "renditions"):
        for path in (settings.data / name).glob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                sizes.append((path.name, path.stat().st_size))
    return sizes


def files_in(settings: Settings) -> list[str]:
    """The names of all files of videos and renditions, unfinished ones included."""
    return sorted(name for name, _ in _sizes(settings))


def bytes_in(settings: Settings) -> int:
    """The size of all of them."""
    return sum(size for _, size in _sizes(settings))


@dataclass(frozen=True)
class Clients:
    """Channels to one server, by the name of the identity that calls."""

    address: str
    certs: Path

    @asynccontextmanager
    async def channel(self, name: str) -> AsyncIterator[grpc.aio.Channel]:
        identity = load_identity(self.certs / name, roles=frozenset({Role.CLIENT}))
        address = self.address.replace("127.0.0.1", "localhost")
        async with grpc.aio.secure_channel(address, channel_credentials(identity)) as channel:
            yield channel

    @asynccontextmanager
    async def stub(self, name: str) -> AsyncIterator[Any]:
        """Not typed: the tests send what the types forbid, too."""
        async with self.channel(name) as channel:
            yield VideoQueueStub(channel)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@pytest.fixture
def certs(tmp_path: Path, authority: Authority) -> Path:
    for name in ("video-queue", "gateway", "transcoder", "probe", "client/uploader"):
        identity = identity_named(name)
        write_identity(tmp_path / "certs" / name, authority.issue(identity), authority.ca_pem)
    return tmp_path / "certs"


@pytest.fixture
async def clients(
    config: Config, settings: Settings, certs: Path, clock: Clock
) -> AsyncIterator[Clients]:
    """A running server, seen from outside."""
    identity = load_identity(config.identity, roles=frozenset({Role.SERVER}))
    async with (
        open_service(settings, clock=clock) as service,
        running(config, IdentitySource(identity), service) as address,
    ):
        yield Clients(str(address), certs)


@pytest.fixture
async def gateway(clients: Clients) -> AsyncIterator[Any]:
    async with clients.stub("gateway") as stub:
        yield stub


@pytest.fixture
async def transcoder(clients: Clients) -> AsyncIterator[Any]:
    async with clients.stub("transcoder") as stub:
        yield stub
