"""Files in an object store: a real one, reached by mutual TLS, and what happens when it fails.

That a bucket keeps the promises of the folder is in test_uploads, test_publishing and test_library.
"""

# ruff: noqa: SLF001  these look at parts, which nobody else sees

import asyncio
import dataclasses
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, closing, suppress
from pathlib import Path
from typing import Any, Final

from mtls.identity import Identity, load_identity
from mtls.identity_source import IdentitySource

import pytest

from demo_identities import IDENTITIES, identity_named
from local_object_store import BUCKET, SECRET_KEY, ObjectStore
from local_postgresql import QUEUE
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity
from runtime.errors import StartError
from tests.unit.video_queue.conftest import (
    METADATA,
    OWNER,
    Clock,
    chunks_of,
    files_in,
    until,
    upload,
)
from video_queue.domain.errors import BytesLost, FilesUnavailable, VideoNotFound
from video_queue.domain.quota import Quota
from video_queue.domain.shielded_tasks import ShieldedTasks
from video_queue.storage import store
from video_queue.storage.bucket import Bucket, connected
from video_queue.storage.bucket_settings import BucketSettings
from video_queue.storage.catalog import Catalog
from video_queue.storage.files import Files
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store

Opened = Callable[[], AbstractAsyncContextManager[Store]]

MIB: Final = 1024 * 1024
PART: Final = 5 * MIB


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Room for a video of several parts."""
    limits = dataclasses.replace(settings.limits, upload_bytes=40 * MIB)
    bucket = settings.bucket
    assert bucket
    return dataclasses.replace(
        settings,
        bucket=dataclasses.replace(bucket, attempts=2),  # so that nobody waits for a third
        limits=limits,
        quota_bytes=100 * MIB,
        owner_quota_bytes=100 * MIB,
    )


@pytest.fixture
async def sources(bucket: BucketSettings, identity: IdentitySource) -> AsyncIterator[Bucket]:
    async with connected(bucket, identity) as backend:
        yield backend("sources")


async def all_known(ids: list[str]) -> set[str]:
    return set(ids)


async def none_known(_ids: list[str]) -> set[str]:
    return set()


async def read(queue: Store, video_id: str, offset: int = 0, length: int | None = None) -> bytes:
    async with queue.library.reading(video_id, offset, length) as (_, chunks):
        return b"".join([chunk async for chunk in chunks])


def in_chunks(content: bytes, size: int = 256 * 1024) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 3 * PART])
async def test_a_video_of_several_parts_is_whole(queue: Store, size: int) -> None:
    content = os.urandom(size)
    video = await upload(queue, *in_chunks(content))
    assert (video.size_bytes, video.sha256) == (size, hashlib.sha256(content).digest())
    assert await read(queue, video.id) == content
    for offset, length in [(0, 1), (PART - 2, 2), (size - 1, None), (7, 3_000_001), (5, 0)]:
        end = None if length is None else offset + length
        assert await read(queue, video.id, offset, length) == content[offset:end]


async def test_a_store_that_is_killed_is_said_to_be_unavailable(
    queue: Store, settings: Settings, a_store: ObjectStore
) -> None:
    """Nothing is acknowledged, and nothing counted; afterwards what was acknowledged is there."""
    content = os.urandom(2 * PART + 1)
    kept = await upload(queue, *in_chunks(content))
    before = await upload(queue, b"before")
    a_store.kill()
    try:
        with pytest.raises(FilesUnavailable):
            await upload(queue, *in_chunks(bytes(2 * PART)))
        with pytest.raises(FilesUnavailable):
            await upload(queue, b"small")
        with pytest.raises(FilesUnavailable):
            await read(queue, before.id)
        await queue.library.delete(before.id, OWNER)  # its file is left to a sweep
    finally:
        a_store.start()
    assert await read(queue, kept.id) == content
    assert queue.quota.used_bytes == len(content)
    assert (await queue.library.page(50, None))[0] == [kept]
    after = await upload(queue, b"after")
    assert await read(queue, after.id) == b"after"
    assert files_in(settings) == sorted([kept.id, before.id, after.id])


async def test_a_download_goes_on_where_the_store_was_restarted(
    queue: Store, a_store: ObjectStore
) -> None:
    content = os.urandom(8 * MIB)
    video = await upload(queue, *in_chunks(content))
    async with queue.library.reading(video.id, 0, None) as (_, chunks):
        got = await anext(chunks)
        a_store.kill()
        a_store.start()
        assert got + b"".join([chunk async for chunk in chunks]) == content


async def test_a_download_whose_video_is_deleted_is_whole_or_says_so(queue: Store) -> None:
    content = os.urandom(8 * MIB)
    video = await upload(queue, *in_chunks(content))
    got = b""
    with suppress(VideoNotFound):
        async with queue.library.reading(video.id, 0, None) as (_, chunks):
            got = await anext(chunks)
            await queue.library.delete(video.id, OWNER)
            got += b"".join([chunk async for chunk in chunks])
        assert len(got) == len(content)
    assert content.startswith(got)


@pytest.mark.parametrize("size", [1, PART + 1, 2 * PART + 1])
async def test_an_upload_that_breaks_off_leaves_nothing(
    queue: Store, settings: Settings, size: int
) -> None:
    async def broken_off() -> AsyncIterator[bytes]:
        for chunk in in_chunks(bytes(size)):
            yield chunk
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await queue.uploads.receive(OWNER, METADATA, broken_off())
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0


async def test_a_cancelled_upload_leaves_nothing(queue: Store, settings: Settings) -> None:
    waiting, never = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in in_chunks(bytes(2 * PART + 1)):
            yield chunk
        waiting.set()
        await never.wait()

    task = asyncio.create_task(queue.uploads.receive(OWNER, METADATA, chunks()))
    await waiting.wait()
    assert len(await asyncio.to_thread(files_in, settings)) == 1  # the multipart upload
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(settings) == []
    assert queue.quota.used_bytes == 0


async def test_the_object_is_there_before_the_row_is_written(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[list[str]] = []
    add = Catalog.add

    async def recorded_add(catalog: Catalog, video: Any, *row: Any) -> None:
        stored.append(await asyncio.to_thread(files_in, settings))
        await add(catalog, video, *row)

    monkeypatch.setattr(Catalog, "add", recorded_add)
    video = await upload(queue)
    assert stored == [[video.id]]


async def test_an_upload_holds_two_parts_at_most(sources: Bucket) -> None:
    """Its buffer, and the part that is on its way: the third waits for the first."""
    under_way = 0
    most = 0
    client = sources._client
    upload_part = client.upload_part

    async def counted(**arguments: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await upload_part(**arguments)
        finally:
            under_way -= 1

    client.upload_part = counted
    try:
        incoming = sources.incoming("large", 40 * MIB)
        for chunk in in_chunks(bytes(4 * PART)):
            await incoming.write(chunk)
            assert len(incoming._part) <= PART
        await incoming.keep()
    finally:
        client.upload_part = upload_part
    assert most == 1


async def test_the_largest_file_has_no_more_parts_than_s3_takes(sources: Bucket) -> None:
    incoming = sources.incoming("huge", 5 * 1024**4)
    assert incoming._part_bytes * 10_000 >= 5 * 1024**4
    assert sources.incoming("small", 1)._part_bytes == PART


async def plant(sources: Bucket) -> None:
    """Leave what crashes leave: an object without a row, and half a multipart upload."""
    orphan = sources.incoming("orphan", MIB)
    await orphan.write(b"without a row")
    await orphan.keep()
    half = sources.incoming("half", 40 * MIB)
    await half.write(bytes(PART))
    await half._last_part_sent()


async def test_a_sweep_removes_what_is_old_and_without_a_row(
    sources: Bucket, bucket: BucketSettings, settings: Settings
) -> None:
    await plant(sources)
    assert await sources.sweep(none_known) == 0  # another queue may be about to write the rows
    assert files_in(settings) == ["half", "orphan"]
    old = dataclasses.replace(bucket, orphan_seconds=0, unfinished_seconds=0)
    later = Bucket(sources._client, old, "sources")
    assert await later.sweep(all_known) == 1  # the multipart upload: it has no name yet
    assert files_in(settings) == ["orphan"]
    assert await later.sweep(none_known) == 1
    assert files_in(settings) == []


async def test_a_running_queue_sweeps_again_and_again(
    settings: Settings, sources: Bucket, clock: Clock, identity: IdentitySource
) -> None:
    bucket = settings.bucket
    assert bucket
    often = dataclasses.replace(bucket, orphan_seconds=0, unfinished_seconds=0, sweep_seconds=0.05)
    changed = dataclasses.replace(settings, bucket=often)

    async def all_gone() -> None:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(files_in, settings):  # noqa: ASYNC110  no event tells
                await asyncio.sleep(0.05)

    await plant(sources)
    async with store.opened(changed, clock, identity):
        await all_gone()
        again = sources.incoming("again", MIB)
        await again.write(b"without a row")
        await again.keep()
        await all_gone()


async def test_a_sweep_of_many_asks_in_pages(
    sources: Bucket, bucket: BucketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("video_queue.storage.bucket._PAGE", 3)
    for number in range(7):
        incoming = sources.incoming(f"{number}", MIB)
        await incoming.write(b"x")
        await incoming.keep()
    asked: list[list[str]] = []

    async def odd_ones_known(ids: list[str]) -> set[str]:
        asked.append(ids)
        return {each for each in ids if int(each) % 2}

    later = Bucket(sources._client, dataclasses.replace(bucket, orphan_seconds=0), "sources")
    assert await later.sweep(odd_ones_known) == 4
    assert sorted(each for ids in asked for each in ids) == [f"{number}" for number in range(7)]
    assert max(map(len, asked)) <= 3


@pytest.mark.parametrize("loss", ["gone", "short"])
async def test_a_lost_object_is_called_lost(
    queue: Store, bucket: BucketSettings, a_store: ObjectStore, loss: str
) -> None:
    video = await upload(queue, b"0123456789")
    key = f"{bucket.prefix}sources/{video.id}"
    with closing(a_store.client()) as client:
        client.delete_object(Bucket=BUCKET, Key=key)
        if loss == "short":
            client.put_object(Bucket=BUCKET, Key=key, Body=b"01234")
    with pytest.raises(BytesLost):
        await read(queue, video.id)


async def test_a_finished_upload_whose_answer_was_lost_is_finished(sources: Bucket) -> None:
    """The second attempt finds no upload, and the object."""
    client = sources._client
    complete = client.complete_multipart_upload
    calls = 0

    async def answered_twice(**arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        await complete(**arguments)
        return await complete(**arguments)

    client.complete_multipart_upload = answered_twice
    try:
        incoming = sources.incoming("twice", 40 * MIB)
        await incoming.write(bytes(PART))
        await incoming.write(b"end")
        assert await incoming.keep() == hashlib.sha256(bytes(PART) + b"end").digest()
    finally:
        client.complete_multipart_upload = complete
    assert calls == 1


async def test_files_work_without_a_catalog(sources: Bucket) -> None:
    """Files.receive records what it has stored, and drops what cannot be recorded."""
    files = Files(sources, Quota(100, 100, 0, {}), ShieldedTasks())

    async def refused(_size: int, _sha256: bytes) -> None:
        raise BytesLost

    with pytest.raises(BytesLost):
        await files.receive("refused", chunks_of(b"x"), 10, refused)
    with pytest.raises(BytesLost):
        async with sources.open("refused", range(1)):
            pass


@pytest.fixture
def impostors(tmp_path: Path, authority: Authority) -> dict[str, IdentitySource]:
    """Identities that the store must refuse: each differs from the queue's in one fact."""
    queue = identity_named("video-queue")
    return {
        "another CA": IdentitySource(of_another_ca(tmp_path, authority)),
        "for servers only": IdentitySource(
            written(tmp_path / "server", authority.issue(queue), authority)
        ),
    }


def of_another_ca(folder: Path, authority: Authority) -> Identity:
    """Return a queue's identity that another CA has issued, and that trusts ours."""
    other = Authority.create(IDENTITIES)
    issued = other.issue(QUEUE)
    found = written(folder / "another", issued, other)
    return dataclasses.replace(found, ca_pem=authority.ca_pem)


def written(folder: Path, issued: Issued, authority: Authority) -> Identity:
    write_identity(folder, issued, authority.ca_pem)
    return load_identity(folder, roles=frozenset())


@pytest.mark.parametrize("name", ["another CA", "for servers only"])
async def test_the_store_refuses_an_impostor(
    bucket: BucketSettings,
    impostors: dict[str, IdentitySource],
    identity: IdentitySource,
    a_store: ObjectStore,
    name: str,
) -> None:
    """With the right credentials: only the certificate is wrong, and the store's log says so."""
    async with connected(bucket, identity):
        pass
    since = a_store.log_position()
    with pytest.raises(StartError, match="does not give us"):
        async with connected(dataclasses.replace(bucket, attempts=1), impostors[name]):
            pass
    await until(lambda: "TLS handshake error" in a_store.log(since))


async def test_we_refuse_a_store_of_another_ca(
    bucket: BucketSettings, tmp_path: Path, authority: Authority, identity: IdentitySource
) -> None:
    bucket = dataclasses.replace(bucket, attempts=1)
    other = Authority.create(IDENTITIES)
    ca = tmp_path / "other-ca.crt"
    ca.write_bytes(other.ca_pem)
    with pytest.raises(StartError, match="SSLError"):
        async with connected(dataclasses.replace(bucket, ca=ca), identity):
            pass
    ca.write_bytes(authority.ca_pem)  # the twin: VIDEO_QUEUE_FILES_CA names the right one
    async with connected(dataclasses.replace(bucket, ca=ca), identity):
        pass


async def test_a_renewed_certificate_is_shown_at_once(
    bucket: BucketSettings, tmp_path: Path, authority: Authority, identity: IdentitySource
) -> None:
    """A connection with the old one may go on; a new one has the new certificate."""
    async with connected(dataclasses.replace(bucket, attempts=1), identity) as backend:
        sources = backend("sources")
        identity.replace(of_another_ca(tmp_path, authority))
        with pytest.raises(FilesUnavailable):  # the store does not know the CA of this one
            async with sources.open("any", range(1)):
                pass


async def test_wrong_credentials_are_refused_and_never_logged(
    bucket: BucketSettings,
    identity: IdentitySource,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected(bucket, identity):
        pass
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-the-tests")
    with pytest.raises(StartError, match="SignatureDoesNotMatch"):
        async with connected(bucket, identity):
            pass
    assert caplog.records
    assert SECRET_KEY not in caplog.text
    assert "not-the-secret" not in caplog.text


async def test_a_bucket_that_is_not_there_stops_the_start(
    bucket: BucketSettings, identity: IdentitySource
) -> None:
    with pytest.raises(StartError, match="does not give us nowhere"):
        async with connected(dataclasses.replace(bucket, bucket="nowhere"), identity):
            pass
