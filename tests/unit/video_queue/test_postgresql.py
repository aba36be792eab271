"""PostgreSQL: reached by mutual TLS alone, and with the rules of one queue for several at once."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from mtls import IdentitySource, Role
from mtls.identity import load_identity

import pytest
from sqlalchemy import text

from demo_identities import IDENTITIES, identity_named
from local_postgresql import QUEUE, LocalPostgresql
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity
from runtime.errors import StartError
from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    chunks_of,
    claim,
    emptied,
    publish,
    until,
    upload,
)
from video_queue.domain.errors import (
    CatalogUnavailable,
    KeyInUse,
    OwnerFull,
    StoreFull,
    TooManyPending,
)
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.domain.videos import Report, Video, VideoStatus
from video_queue.storage import postgresql as module
from video_queue.storage import store
from video_queue.storage.ballast import Ballast
from video_queue.storage.database import Database
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

pytestmark = pytest.mark.database("postgresql")

Show = Callable[..., IdentitySource]


@pytest.fixture(autouse=True)
def nothing_is_left(postgresql: LocalPostgresql) -> None:
    """Another test may have left a database of another version."""
    emptied(postgresql)


@pytest.fixture
def show(tmp_path: Path, authority: Authority) -> Show:
    """Make an identity that trusts our CA, of a certificate that may be any."""

    def make(issued: Issued, issuer: Authority = authority) -> IdentitySource:
        folder = tmp_path / f"identity-{issued.certificate.serial_number:x}"
        write_identity(folder, issued, issuer.ca_pem)
        then = issued.certificate.not_valid_after_utc - dt.timedelta(seconds=1)
        loaded = load_identity(
            folder, roles=frozenset({Role.CLIENT}), now=min(then, dt.datetime.now(dt.UTC))
        )
        return IdentitySource(dataclasses.replace(loaded, ca_pem=authority.ca_pem))

    return make


@asynccontextmanager
async def connected(
    url: str, tmp_path: Path, identity: IdentitySource | None
) -> AsyncIterator[Database]:
    async with Database.opened(url, ShieldedTasks(), Ballast(tmp_path), identity) as database:
        yield database


async def shown_to(database: Database) -> tuple[str, str, int]:
    """TLS version, subject and serial number of the connection, as the server has them."""
    query = text(
        "SELECT version, client_dn, client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    )
    row = await database.read(lambda connection: connection.execute(query).one())
    return row.version, row.client_dn, int(row.client_serial)


async def test_the_queue_shows_its_certificate_and_is_who_it_says(
    postgresql: LocalPostgresql, tmp_path: Path, authority: Authority, show: Show
) -> None:
    issued = authority.issue(QUEUE)
    async with connected(postgresql.url, tmp_path, show(issued)) as database:
        subject = "/O=video-demo.test/CN=video-queue"
        serial = issued.certificate.serial_number
        assert await shown_to(database) == ("TLSv1.3", subject, serial)


async def test_a_connection_of_a_certain_age_is_made_again_with_the_certificate_of_now(
    postgresql: LocalPostgresql,
    tmp_path: Path,
    authority: Authority,
    show: Show,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_AGE_SECONDS", 0)
    identity, renewed = show(authority.issue(QUEUE)), authority.issue(QUEUE)
    async with connected(postgresql.url, tmp_path, identity) as database:
        _, _, before = await shown_to(database)
        identity.replace(show(renewed).current)
        _, _, after = await shown_to(database)
        assert before != after == renewed.certificate.serial_number


@pytest.mark.parametrize(
    ("stranger", "reason"),
    [
        ("another service of the same CA", "certificate authentication failed"),
        ("the same names by another CA", "unknown ca"),
        ("a certificate that has expired", "certificate expired"),
        ("a certificate for servers alone", "unsupported certificate"),
    ],
)
async def test_the_server_refuses_who_is_not_the_queue(
    postgresql: LocalPostgresql,
    tmp_path: Path,
    authority: Authority,
    show: Show,
    stranger: str,
    reason: str,
) -> None:
    """Each differs in one fact from the queue, which is served; and makes no table."""
    url, genuine = postgresql.url, authority.issue(QUEUE)
    emptied(postgresql)
    minute, now = dt.timedelta(minutes=1), dt.datetime.now(dt.UTC)
    match stranger:
        case "another service of the same CA":
            identity = show(authority.issue(identity_named("gateway")))
        case "the same names by another CA":
            other = Authority.create(IDENTITIES)
            identity = show(other.issue(QUEUE), other)
        case "a certificate that has expired":
            expired = authority.issue(QUEUE, not_before=now - 2 * minute, not_after=now - minute)
            identity = show(expired)
        case _:
            server_only = authority.issue(identity_named("video-queue"))
            folder = tmp_path / "server"
            write_identity(folder, server_only, authority.ca_pem)
            identity = IdentitySource(load_identity(folder, roles=frozenset({Role.SERVER})))
    with pytest.raises(StartError, match=f"does not let us in: .*{reason}"):
        async with connected(url, tmp_path, identity):
            pass
    assert postgresql.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
    async with connected(url, tmp_path, show(genuine)):
        pass
    assert postgresql.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") != "0"


@contextmanager
def configured(server: LocalPostgresql, **settings: str) -> Iterator[None]:
    """Change the server's settings while the body runs."""
    for name, value in settings.items():
        server.run(f"ALTER SYSTEM SET {name} = '{value}'")
    server.stop()
    server.start()
    try:
        yield
    finally:
        server.run("ALTER SYSTEM RESET ALL")
        server.stop()
        server.start()


@pytest.mark.parametrize(
    ("impostor", "reason"),
    [
        ("of another CA", "certificate verify failed"),
        ("of another name", 'does not match host name "127.0.0.1"'),
        ("without TLS", "server does not support SSL"),
        ("that asks for no certificate", "server did not request an SSL certificate"),
    ],
)
async def test_the_queue_refuses_a_server(
    postgresql: LocalPostgresql,
    tmp_path: Path,
    authority: Authority,
    show: Show,
    impostor: str,
    reason: str,
) -> None:
    """Whatever is wrong with it, nothing is asked of it; the same server without it is used."""
    url, identity = postgresql.url, show(authority.issue(QUEUE))
    everybody = postgresql.folder / "everybody"
    everybody.write_text("host all all all trust\nlocal all all trust\n")
    everybody.chmod(0o644)
    settings: dict[str, str] = {}
    match impostor:
        case "of another CA":
            other = Authority.create(IDENTITIES)
            folder = tmp_path / "trusts-another"
            write_identity(folder, authority.issue(QUEUE), other.ca_pem + authority.ca_pem)
            lost = dataclasses.replace(identity.current, ca_pem=other.ca_pem)
            with pytest.raises(StartError, match=f"does not let us in: .*{reason}"):
                async with connected(url, tmp_path, IdentitySource(lost)):
                    pass
        case "of another name":
            with pytest.raises(StartError, match=f"does not let us in: .*{reason}"):
                async with connected(url.replace("localhost", "127.0.0.1"), tmp_path, identity):
                    pass
        case "without TLS":
            settings = {"ssl": "off", "hba_file": str(everybody)}
        case _:
            settings = {"ssl_ca_file": "", "hba_file": str(everybody)}
    if settings:
        with (
            configured(postgresql, **settings),
            pytest.raises(StartError, match=f"does not let us in: .*{reason}"),
        ):
            async with connected(url, tmp_path, identity):
                pass
    async with connected(url, tmp_path, identity):
        pass


# ---- Several queues ----


@pytest.fixture
async def pair(
    settings: Settings, clock: Clock, identity: IdentitySource
) -> AsyncIterator[tuple[Store, Store]]:
    """Two queues that start together; each with a folder of its own, since this is about rows."""
    async with AsyncExitStack() as stack:
        queues = [
            stack.enter_async_context(
                store.opened(
                    dataclasses.replace(settings, data=settings.data / str(number)), clock, identity
                )
            )
            for number in range(2)
        ]
        one, other = await asyncio.gather(*queues)
        yield one, other


async def test_a_watch_hears_of_what_another_queue_does(pair: tuple[Store, Store]) -> None:
    one, other = pair
    video = await upload(one)
    watch = one.library.watch(video.id)
    assert (await anext(watch)).status is VideoStatus.PENDING
    lease = (await claim(other)).lease
    assert (await anext(watch)).status is VideoStatus.PROCESSING
    await publish(other, lease)
    await other.work.report("worker", lease, Report(VideoStatus.COMPLETED, 100, ""))
    last = await anext(watch)
    assert last.status is VideoStatus.COMPLETED
    assert len(last.renditions) == 1
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_a_worker_that_waits_at_one_queue_gets_what_is_uploaded_to_another(
    pair: tuple[Store, Store],
) -> None:
    one, other = pair
    waiting = asyncio.create_task(one.work.claim("worker", 30))
    await until(lambda: one.notifier.subscribers > 0)
    video = await upload(other)
    claimed = await waiting
    assert claimed is not None
    assert claimed.video.id == video.id


async def test_no_video_is_claimed_twice_and_owners_take_turns(pair: tuple[Store, Store]) -> None:
    owners = [OWNER, f"{OWNER}/2", f"{OWNER}/3"]
    videos = [await upload(pair[number % 2], owner=owners[number % 3]) for number in range(12)]
    claims = await asyncio.gather(*(claim(pair[number % 2]) for number in range(12)))
    assert {each.video.id for each in claims} == {video.id for video in videos}
    assert {each.attempt for each in claims} == {1}


async def outcomes(pair: tuple[Store, Store], *attempts: bytes, key: str = "") -> list[object]:
    """Send each content to one of the queues, at once; return the videos and the errors."""
    metadata = dataclasses.replace(METADATA, idempotency_key=key)
    return await asyncio.gather(
        *(
            pair[number % 2].uploads.receive(OWNER, metadata, chunks_of(content))
            for number, content in enumerate(attempts)
        ),
        return_exceptions=True,
    )


@pytest.mark.parametrize(
    ("of_all", "of_an_owner", "error"),
    [(5_000_000, 10_000_000, StoreFull), (90_000_000, 5_000_000, OwnerFull)],
)
async def test_the_last_room_is_given_away_once(
    settings: Settings, clock: Clock, of_all: int, of_an_owner: int, error: type[Exception]
) -> None:
    """Each queue has room for two more of 2 MB, and both together have not."""
    small = dataclasses.replace(settings, quota_bytes=of_all, owner_quota_bytes=of_an_owner)
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                store.opened(dataclasses.replace(small, data=settings.data / str(number)), clock)
            )
            for number in range(2)
        ]
        content = b"x" * 2_000_000
        results = await outcomes((one, other), *[content] * 4)
        stored = [each for each in results if isinstance(each, Video)]
        assert len(stored) == 2
        assert {type(each) for each in results if not isinstance(each, Video)} == {error}
        for queue in (one, other):
            await queue.maintain()
            assert queue.quota.used_bytes == 4_000_000
            with pytest.raises(error):  # before the first byte, wherever the room has gone
                await queue.uploads.check(
                    OWNER, dataclasses.replace(METADATA, size_limit_bytes=2_000_000)
                )
        await other.library.delete(stored[0].id, OWNER)
        await one.maintain()
        await upload(one, content)  # what was deleted by one is room for all


async def test_an_owner_has_so_many_pending_videos_at_all_queues_together(
    settings: Settings, clock: Clock
) -> None:
    limits = dataclasses.replace(settings.limits, pending_per_owner=3)
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                store.opened(
                    dataclasses.replace(settings, data=settings.data / str(number), limits=limits),
                    clock,
                )
            )
            for number in range(2)
        ]
        results = await outcomes((one, other), *[b"bytes"] * 8)
        assert sum(isinstance(each, Video) for each in results) == 3
        assert sum(isinstance(each, TooManyPending) for each in results) == 5


async def test_of_two_uploads_with_a_key_at_two_queues_one_is_stored(
    pair: tuple[Store, Store],
) -> None:
    results = await outcomes(pair, b"bytes", b"bytes", key="key")
    video = next(each for each in results if isinstance(each, Video))
    # The other came while that was under way, or found it done.
    assert all(each == video or isinstance(each, KeyInUse) for each in results)
    assert await outcomes(pair, b"bytes", key="key") == [video]
    assert await pair[1].library.page(9, None) == ([video], None)


async def test_a_lost_lease_costs_one_attempt_however_many_queues_notice(
    pair: tuple[Store, Store], clock: Clock, settings: Settings
) -> None:
    await upload(pair[0])
    for attempt in range(1, settings.max_attempts):
        assert (await claim(pair[attempt % 2])).attempt == attempt
        clock.advance(settings.lease_seconds)
        await asyncio.gather(*(queue.work.release_lost() for queue in pair * 3))
    assert (await claim(pair[0])).attempt == settings.max_attempts


# ---- Trouble ----


async def test_connections_that_the_server_has_closed_cost_no_call(
    postgresql: LocalPostgresql, pair: tuple[Store, Store]
) -> None:
    one, other = pair
    video = await upload(one)
    watch = one.library.watch(video.id)
    await anext(watch)
    postgresql.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'video_queue'"
    )
    assert (await one.library.get(video.id)).id == video.id
    assert (await claim(other)).video.id == video.id  # a write, too
    # The announcement may have come while nobody listened: then it is noticed afterwards.
    assert (await anext(watch)).status is VideoStatus.PROCESSING


async def test_a_restart_of_the_server_is_an_outage_and_no_more(
    postgresql: LocalPostgresql, pair: tuple[Store, Store]
) -> None:
    one, other = pair
    video = await upload(one)
    watch = one.library.watch(video.id)
    await anext(watch)
    await asyncio.to_thread(postgresql.stop)
    try:
        with pytest.raises(CatalogUnavailable):
            await one.library.get(video.id)
        with pytest.raises(CatalogUnavailable):
            await claim(other)
    finally:
        await asyncio.to_thread(postgresql.start)
    await claim(other)
    assert (await anext(watch)).status is VideoStatus.PROCESSING


async def test_an_id_with_a_character_that_the_database_has_not_is_unknown(
    queue: Store,
) -> None:
    from video_queue.domain.errors import LeaseLost, RenditionNotFound, VideoNotFound
    from video_queue.domain.videos import Lease

    with pytest.raises(VideoNotFound):
        await queue.library.get("a\0b")
    with pytest.raises(VideoNotFound):
        await queue.library.delete("a\0b", OWNER)
    with pytest.raises(RenditionNotFound):
        async with queue.library.reading_rendition("a\0b", "\0", 0, None):
            pass
    with pytest.raises(LeaseLost):
        await queue.work.report("worker", Lease("\0", 1), Report(VideoStatus.PROCESSING, 1, ""))
