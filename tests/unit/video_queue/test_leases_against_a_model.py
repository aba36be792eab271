"""Any sequence of uploads, claims, work, deletions, waiting and crashes, held against a model."""

import asyncio
import datetime as dt
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from local_postgresql import LocalPostgresql
from tests.unit.video_queue.conftest import OWNER, Clock, emptied, publish, until, upload
from video_queue.domain.errors import InvalidRequest, LeaseLost, VideoNotFound
from video_queue.domain.renditions import Rendition, RenditionMetadata
from video_queue.domain.videos import Lease, Report, VideoStatus
from video_queue.storage import store
from video_queue.storage.settings import Settings

LEASE = dt.timedelta(seconds=30)
MAX_ATTEMPTS = 3
NAMES = ("360p", "thumbnail")  # few, so that one often replaces another


@dataclass
class Model:
    """One video as the rules describe it; `published` is by name, under the lease that it has."""

    status: VideoStatus = VideoStatus.PENDING
    progress: int = 0
    token: int = 0
    attempts: int = 0
    ends: dt.datetime | None = None
    published: dict[str, bytes] = field(default_factory=dict)

    def lose_lease(self, now: dt.datetime) -> None:
        if self.status is VideoStatus.PROCESSING and self.ends and self.ends <= now:
            tried_enough = self.attempts >= MAX_ATTEMPTS
            self.status = VideoStatus.FAILED if tried_enough else VideoStatus.PENDING
            self.progress, self.ends, self.published = 0, None, {}


class Arriving:
    """A rendition of which only the first half has come yet."""

    def __init__(self, machine: "Leases", lease: Lease, name: str, half: bytes) -> None:
        self.lease, self.name, self.content = lease, name, half + half
        self.waits = False
        self._half, self._rest = half, asyncio.Event()
        metadata = RenditionMetadata(
            name=name, content_type="video/mp4", width=1, height=1, duration_ms=0
        )
        receiving = machine.queue.publishing.receive("worker", lease, metadata, self._chunks())
        self._task = asyncio.ensure_future(receiving)

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield self._half
        self.waits = True
        await self._rest.wait()
        yield self._half

    async def come_to_the_end(self) -> Rendition:
        self._rest.set()
        return await self._task

    async def break_off(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


class Leases(RuleBasedStateMachine):
    """`models` is in the order of uploads: the first that is pending is the next to be claimed."""

    videos: Bundle[str] = Bundle("videos")
    leases: Bundle[Lease] = Bundle("leases")
    arriving: Bundle[Arriving] = Bundle("arriving")

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.models: dict[str, Model] = {}
        self.completions: list[str] = []
        self.under_way: list[Arriving] = []
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = 0
        self._empty_database()
        self.data = Path(self.folder.name) / "0"
        self._open()

    def _empty_database(self) -> None:
        """Begin without a row: here the folder has the database, and is new."""

    def _database_url(self) -> str:
        return f"sqlite:///{self.data / 'video-queue.db'}"

    def _open(self) -> None:
        small = Settings.from_environment(
            {"VIDEO_QUEUE_DATA": str(self.data), "VIDEO_QUEUE_DATABASE_URL": self._database_url()}
        )
        self.stack = AsyncExitStack()
        opened = self.stack.enter_async_context(store.opened(small, self.clock))
        self.queue = self.runner.run(opened)

    def teardown(self) -> None:
        self._break_off_all()
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def _break_off_all(self) -> None:
        for arriving in self.under_way:
            self.runner.run(arriving.break_off())
        self.under_way = []

    def _holder(self, lease: Lease) -> Model | None:
        """The model of the video, if the lease holds."""
        model = self.models.get(lease.video_id)
        if (
            model is not None
            and model.status is VideoStatus.PROCESSING
            and model.token == lease.token
            and model.ends is not None
            and self.clock.now < model.ends
        ):
            return model
        return None

    @rule(target=videos)
    def upload(self) -> str:
        video_id = self.runner.run(upload(self.queue)).id
        self.models[video_id] = Model()
        return video_id

    @rule(video_id=consumes(videos))
    def delete(self, video_id: str) -> None:
        self.runner.run(self.queue.library.delete(video_id, OWNER))
        del self.models[video_id]

    @rule(seconds=st.sampled_from([1, 29, 30, 31]))
    def wait(self, seconds: int) -> None:
        """Also what it looks like when a worker has died."""
        self.clock.advance(seconds)

    @rule()
    def crash(self) -> None:
        """Go on with what kill -9 would leave: the files as they are, amid what is under way."""
        left = self.data
        self.opened += 1
        self.data = Path(self.folder.name) / f"{self.opened}"
        shutil.copytree(left, self.data, ignore=shutil.ignore_patterns(".ballast"))
        self._break_off_all()
        self.runner.run(self.stack.aclose())
        self._open()

    @rule()
    def notice_lost_leases(self) -> None:
        self.runner.run(self.queue.work.release_lost())
        self.lose_leases()
        for video_id, model in self.models.items():
            video = self.runner.run(self.queue.library.get(video_id))
            assert (video.status, video.progress_percent) == (model.status, model.progress)

    @rule(target=leases)
    def claim(self) -> Lease | MultipleResults[Lease]:
        claim = self.runner.run(self.queue.work.claim("worker", 0))
        self.lose_leases()
        waiting = (
            video_id
            for video_id, model in self.models.items()
            if model.status is VideoStatus.PENDING
        )
        if (expected := next(waiting, None)) is None:
            assert claim is None
            return multiple()
        assert claim is not None
        model = self.models[expected]
        assert claim.video.id == claim.lease.video_id == expected
        assert claim.lease.token > model.token
        assert claim.attempt == model.attempts + 1
        self.models[expected] = Model(
            VideoStatus.PROCESSING, 0, claim.lease.token, claim.attempt, self.clock.now + LEASE
        )
        return claim.lease

    @rule(lease=leases, percent=st.integers(0, 100))
    def beat(self, lease: Lease, percent: int) -> None:
        model = self._holder(lease)
        report = Report.checked(VideoStatus.PROCESSING, percent, "")
        try:
            self.runner.run(self.queue.work.beat("worker", lease, report))
        except LeaseLost:
            assert not model
            assert lease.video_id in self.models
        except VideoNotFound:
            assert lease.video_id not in self.models
        else:
            assert model
            model.progress, model.ends = percent, self.clock.now + LEASE

    @rule(lease=leases, name=st.sampled_from(NAMES), content=st.binary(min_size=1, max_size=9))
    def publish(self, lease: Lease, name: str, content: bytes) -> None:
        model = self._holder(lease)
        try:
            self.runner.run(publish(self.queue, lease, content, name=name))
        except LeaseLost:
            assert not model
        else:
            assert model
            model.published[name] = content

    @rule(
        target=arriving,
        lease=leases,
        name=st.sampled_from(NAMES),
        half=st.binary(min_size=1, max_size=9),
    )
    def begin_to_publish(self, lease: Lease, name: str, half: bytes) -> Arriving:
        async def begin() -> Arriving:
            arriving = Arriving(self, lease, name, half)
            await until(lambda: arriving.waits)
            return arriving

        self.under_way.append(arriving := self.runner.run(begin()))
        return arriving

    @rule(arriving=consumes(arriving))
    def come_to_the_end(self, arriving: Arriving) -> None:
        if arriving not in self.under_way:
            return  # the crash came before
        self.under_way.remove(arriving)
        model = self._holder(arriving.lease)
        try:
            self.runner.run(arriving.come_to_the_end())
        except LeaseLost:
            assert not model
        else:
            assert model
            model.published[arriving.name] = arriving.content

    @rule(
        lease=leases,
        status=st.sampled_from([VideoStatus.COMPLETED, VideoStatus.COMPLETED, VideoStatus.FAILED]),
    )
    def report(self, lease: Lease, status: VideoStatus) -> None:
        model = self._holder(lease)
        report = Report.checked(status, 0, "why")
        try:
            self.runner.run(self.queue.work.report("worker", lease, report))
        except LeaseLost:
            assert not model
        except InvalidRequest:
            assert model
            assert not model.published
        else:
            assert model
            model.status, model.progress, model.ends = status, report.progress_percent, None
            if status is VideoStatus.COMPLETED:
                assert model.published
                self.completions.append(lease.video_id)
            else:
                model.published = {}

    @invariant()
    def no_video_is_completed_twice(self) -> None:
        completions = getattr(self, "completions", [])
        assert len(completions) == len(set(completions))

    @invariant()
    def what_has_ended_stays_as_it_is_and_shows_what_its_lease_has_made(self) -> None:
        for video_id, model in getattr(self, "models", {}).items():
            video = self.runner.run(self.queue.library.get(video_id))
            shown = {rendition.name: self._content(rendition) for rendition in video.renditions}
            if model.status is VideoStatus.COMPLETED:
                assert shown == model.published
            else:
                assert not shown
            if model.status.is_final:
                assert (video.status, video.progress_percent) == (model.status, model.progress)

    def _content(self, rendition: Rendition) -> bytes:
        return (self.data / "renditions" / rendition.id).read_bytes()

    @invariant()
    def none_is_lost_and_what_is_deleted_stays_away(self) -> None:
        if hasattr(self, "queue"):
            videos, _ = self.runner.run(self.queue.library.page(200, None))
            assert [video.id for video in reversed(videos)] == list(self.models)

    @invariant()
    def the_quota_is_the_bytes_on_the_disk_and_nothing_useless_is_there(self) -> None:
        if hasattr(self, "queue"):
            incoming, sources, renditions = (
                list((self.data / name).iterdir()) for name in ("incoming", "sources", "renditions")
            )
            on_disk = sum(path.stat().st_size for path in incoming + sources + renditions)
            assert self.queue.quota.used_bytes == on_disk
            assert len(incoming) == len(self.under_way)
            assert {path.name for path in sources} == set(self.models)
            assert len(renditions) == sum(len(each.published) for each in self.models.values())

    def lose_leases(self) -> None:
        for model in self.models.values():
            model.lose_lease(self.clock.now)


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,  # a machine under load is no error
    suppress_health_check=[HealthCheck.too_slow],
)


class LeasesInPostgresql(Leases):
    """The same with a database that outlives a crash of the queue by itself."""

    server: ClassVar[LocalPostgresql]

    def _empty_database(self) -> None:
        emptied(self.server)

    def _database_url(self) -> str:
        return self.server.socket_url


@pytest.fixture(scope="module")
def _server(postgresql: LocalPostgresql) -> None:
    LeasesInPostgresql.server = postgresql


TestLeasesInPostgresql = pytest.mark.usefixtures("_server")(LeasesInPostgresql.TestCase)
TestLeasesInPostgresql.settings = settings(TestLeases.settings, max_examples=3)
