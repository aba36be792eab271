"""Each kind of call has its own pool, and each identity its share of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.unit.video_queue.conftest import OWNER
from tests.unit.video_queue.test_servicer import (
    FOR_OWNER,
    beat,
    claim,
    completed,
    failure,
    parts,
    publish,
    rendition_parts,
    upload,
)
from video_queue.domain.capacity import Capacity, Pool
from video_queue.domain.errors import TooManyCalls
from video_queue.storage.open_files import StoredFile
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_client.sending import Chunk, send_file

FOR_ANOTHER = (("on-behalf-of", "spiffe://video-demo.test/console"),)
FOR_A_THIRD = (("on-behalf-of", "spiffe://video-demo.test/client/viewer"),)


def test_an_identity_has_its_share_and_not_one_more() -> None:
    pool = Pool("watches", Capacity(total=9, share=2))
    with pool.admit("a"), pool.admit("a"):
        with (
            pytest.raises(TooManyCalls, match=r"a has 2 watches under way.*is 2: end one"),
            pool.admit("a"),
        ):
            pass
        with pool.admit("b"):
            assert pool.calls == 3
    assert pool.calls == 0
    with pool.admit("a"):
        pass


def test_all_identities_together_have_the_total() -> None:
    pool = Pool("watches", Capacity(total=2, share=2))
    with pool.admit("a"), pool.admit("b"):
        with (
            pytest.raises(TooManyCalls, match=r"2 watches are under way.*is 2: try again"),
            pool.admit("c"),
        ):
            pass
        assert pool.calls == 2


def test_a_call_that_fails_is_no_longer_counted() -> None:
    pool = Pool("watches", Capacity(total=1, share=1))
    with pytest.raises(KeyError), pool.admit("a"):
        raise KeyError
    assert pool.calls == 0


Begin = Callable[[Any, Any], Awaitable[Any]]
"""Begins a call on behalf of somebody, and returns it when the queue has let it in."""


async def watch(gateway: Any, on_behalf_of: Any) -> Any:
    (video,) = (await gateway.ListVideos(api.ListVideosRequest())).videos
    call = gateway.WatchVideo(api.WatchVideoRequest(id=video.id), metadata=on_behalf_of)
    await call.read()
    return call


async def begin_upload(gateway: Any, on_behalf_of: Any) -> Any:
    begun = asyncio.Event()

    async def chunks() -> AsyncIterator[Chunk]:
        begun.set()
        await asyncio.Event().wait()
        yield Chunk(b"", is_last=True)

    call = gateway.Upload(metadata=on_behalf_of)
    metadata = parts(b"x")[0].metadata
    sending = asyncio.create_task(
        send_file(call, api.UploadRequest, metadata, chunks(), go_ahead_seconds=30, step_seconds=30)
    )
    go_ahead = asyncio.create_task(begun.wait())
    await asyncio.wait((sending, go_ahead), return_when=asyncio.FIRST_COMPLETED)
    if not begun.is_set():
        go_ahead.cancel()
        await sending  # which was refused
    return sending


async def download(gateway: Any, on_behalf_of: Any) -> Any:
    (video,) = (await gateway.ListVideos(api.ListVideosRequest())).videos
    call = gateway.Download(api.DownloadRequest(id=video.id), metadata=on_behalf_of)
    await call.read()
    return call


async def download_rendition(gateway: Any, on_behalf_of: Any) -> Any:
    (video,) = (await gateway.ListVideos(api.ListVideosRequest())).videos
    request = api.DownloadRenditionRequest(video_id=video.id, name="360p")
    call = gateway.DownloadRendition(request, metadata=on_behalf_of)
    await call.read()
    return call


async def never_ending_chunks(_file: StoredFile, _positions: range) -> AsyncIterator[bytes]:
    """Stop after the first chunk, as for a client that does not read."""
    yield b"x"
    await asyncio.Event().wait()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (watch, "watches"),
        (begin_upload, "uploads"),
        (download, "downloads"),
        (download_rendition, "downloads"),
    ],
)
async def test_one_person_leaves_room_for_others(
    gateway: Any,
    transcoder: Any,
    stack: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    begin: Begin,
    kind: str,
) -> None:
    """The share is 2 and the total is 3; the refusal names the limit, and what to do."""
    if begin is watch:
        await upload(gateway, b"pending")
    else:
        await completed(gateway, transcoder, b"rendition")
    monkeypatch.setattr(StoredFile, "chunks", never_ending_chunks)

    for _ in range(2):
        stack.callback((await begin(gateway, FOR_OWNER)).cancel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await begin(gateway, FOR_OWNER)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"{OWNER} has 2 {kind} under way" in str(refused.value.details())
    assert "the limit for one identity is 2: end one" in str(refused.value.details())

    another = await begin(gateway, FOR_ANOTHER)
    with pytest.raises(grpc.aio.AioRpcError, match=f"3 {kind} are under way"):
        await begin(gateway, FOR_A_THIRD)
    another.cancel()
    stack.callback((await begin_as_soon_as_there_is_room(begin, gateway, FOR_A_THIRD)).cancel)


async def begin_as_soon_as_there_is_room(begin: Begin, gateway: Any, on_behalf_of: Any) -> Any:
    """A call that is cancelled leaves its pool a moment later."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await begin(gateway, on_behalf_of)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise


async def test_a_worker_does_its_work_while_all_pools_are_used_up(
    gateway: Any, transcoder: Any, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches, uploads, downloads and claims: no heartbeat and no report is refused for them."""
    await upload(gateway, b"source")
    claimed = await claim(transcoder)
    with monkeypatch.context() as patched:
        patched.setattr(StoredFile, "chunks", never_ending_chunks)
        for begin in (watch, download, begin_upload):
            for on_behalf_of in (FOR_OWNER, FOR_OWNER, FOR_ANOTHER):
                stack.callback((await begin(gateway, on_behalf_of)).cancel)
            with pytest.raises(grpc.aio.AioRpcError, match="are under way"):
                await begin(gateway, FOR_A_THIRD)
    waiting = [transcoder.ClaimVideo(api.ClaimVideoRequest(wait_seconds=60)) for _ in range(3)]
    done, _ = await asyncio.wait(
        [asyncio.ensure_future(failure(call)) for call in waiting],
        return_when=asyncio.FIRST_COMPLETED,
    )
    ((code, details),) = [each.result() for each in done]
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "has 2 claims under way" in details

    heartbeats = [transcoder.Heartbeat() for _ in range(10)]
    for heartbeat in heartbeats:
        await heartbeat.write(beat(claimed.lease, 1))
        assert (await heartbeat.read()).lease_seconds
    fetch = transcoder.FetchSource(api.FetchSourceRequest(lease=claimed.lease))
    assert b"".join([message.chunk async for message in fetch]) == b"source"
    await publish(transcoder, claimed.lease, b"rendition")
    await transcoder.UpdateVideoStatus(
        api.UpdateVideoStatusRequest(lease=claimed.lease, status=api.VIDEO_STATUS_COMPLETED)
    )
    for call in (*waiting, *heartbeats):
        call.cancel()


async def test_a_transfer_of_a_worker_waits_for_its_turn(
    gateway: Any, transcoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal would cost its video an attempt. One transfer at a time is allowed here."""
    await upload(gateway, b"source")
    claimed = await claim(transcoder)
    with monkeypatch.context() as patched:
        patched.setattr(StoredFile, "chunks", never_ending_chunks)
        first = transcoder.FetchSource(api.FetchSourceRequest(lease=claimed.lease))
        await first.read()
    second = transcoder.PublishRendition()
    messages = rendition_parts(claimed.lease, b"rendition")
    await second.write(messages[0])
    may_go_ahead = asyncio.ensure_future(second.initial_metadata())
    # A call that comes later, on the same connection, is answered while the second one waits.
    await gateway.ListVideos(api.ListVideosRequest())
    assert not may_go_ahead.done()
    first.cancel()
    assert "go-ahead" in await may_go_ahead
    for message in messages[1:]:
        await second.write(message)
    assert (await second).name == "360p"
