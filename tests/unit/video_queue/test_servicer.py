"""Every call over a real connection: what goes in, what comes out, and the status of what fails."""

import asyncio
import dataclasses
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.identity_source import IdentitySource
from mtls.reporting import events
from mtls.reporting.log_rate_limiter import LogRateLimiter
from mtls.spiffe import SpiffeId, SpiffeIdError

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.video_queue import upload_and_die
from tests.unit.video_queue.conftest import OWNER, Clients, Clock, files_in, until
from video_queue.api.pages import encode_page_token
from video_queue.api.service import open_service
from video_queue.config import Config
from video_queue.server import running
from video_queue.storage.catalog import Catalog
from video_queue.storage.settings import Settings
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_client.sending import Chunk, _QueueStatus, send_file

FOR_OWNER = (("on-behalf-of", OWNER),)
MEBIBYTE = 1024 * 1024
ONE_BYTE = api.StreamEnd(size_bytes=1)


def parts(*chunks: bytes, **metadata: Any) -> list[api.UploadRequest]:
    said: dict[str, Any] = {"title": "a title", "content_type": "video/mp4", **metadata}
    return [
        api.UploadRequest(metadata=api.UploadMetadata(**said)),
        *(api.UploadRequest(chunk=chunk) for chunk in chunks),
        api.UploadRequest(end=api.StreamEnd(size_bytes=sum(map(len, chunks)))),
    ]


def ending_with_a_chunk(messages: list[api.UploadRequest]) -> list[api.UploadRequest]:
    """Return the same upload with its end in the message of the last chunk."""
    *others, chunk, end = messages
    return [*others, api.UploadRequest(chunk=chunk.chunk, end=end.end)]


def as_read_before(message: api.UploadRequest) -> Any:
    """Return a message as a queue reads it whose contract had the end among the parts."""
    file = descriptor_pb2.FileDescriptorProto()
    api.DESCRIPTOR.CopyToProto(file)
    (upload,) = (each for each in file.message_type if each.name == "UploadRequest")
    upload.field[-1].oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName("videoqueue.v1.UploadRequest")
    return message_factory.GetMessageClass(found).FromString(message.SerializeToString())


async def send(call: Any, messages: Sequence[Any]) -> Any:
    """Send the first message, wait for the go-ahead as clients should, and send the others.

    Returns the call, which is then awaited for its answer.
    """
    for number, message in enumerate(messages):
        await call.write(message)
        if number == 0 and "go-ahead" not in await call.initial_metadata():
            return call
    await call.done_writing()
    return call


async def upload(gateway: Any, *chunks: bytes, **metadata: Any) -> Any:
    return await (await send(gateway.Upload(metadata=FOR_OWNER), parts(*chunks, **metadata)))


async def claim(transcoder: Any) -> Any:
    return (await transcoder.ClaimVideo(api.ClaimVideoRequest())).claim


def rendition_parts(lease: Any, *chunks: bytes, **metadata: Any) -> list[Any]:
    said = {"name": "360p", "content_type": "video/mp4", "width": 640, "height": 360, **metadata}
    return [
        api.PublishRenditionRequest(metadata=api.RenditionMetadata(lease=lease, **said)),
        *(api.PublishRenditionRequest(chunk=chunk) for chunk in chunks),
        api.PublishRenditionRequest(end=api.StreamEnd(size_bytes=sum(map(len, chunks)))),
    ]


async def publish(transcoder: Any, lease: Any, *chunks: bytes, **metadata: Any) -> Any:
    messages = rendition_parts(lease, *chunks, **metadata)
    return await (await send(transcoder.PublishRendition(), messages))


async def failure(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return the status of a call, and with it that it has failed."""
    if isinstance(call, grpc.aio.StreamUnaryCall):  # grpcio may have put its own in the way
        error = await _QueueStatus(call).error()
        code, details = error.code(), error.details() or ""
    else:
        code, details = await call.code(), await call.details()
    assert code is not grpc.StatusCode.OK
    return code, details


async def test_what_is_uploaded_is_what_is_downloaded(gateway: Any) -> None:
    content = os.urandom(MEBIBYTE)
    video = await upload(gateway, content[: MEBIBYTE // 2], content[MEBIBYTE // 2 :], title="täst")
    assert (video.title, video.owner, video.size_bytes) == ("täst", OWNER, MEBIBYTE)
    assert video.status == api.VIDEO_STATUS_PENDING
    assert video.sha256 == hashlib.sha256(content).digest()
    assert video.created_at.ToDatetime().year == 2026

    first, *rest = [message async for message in gateway.Download(api.DownloadRequest(id=video.id))]
    assert first.video == video
    assert b"".join(message.chunk for message in rest) == content
    assert max(len(message.chunk) for message in rest) == 256 * 1024
    assert await gateway.GetVideo(api.GetVideoRequest(id=video.id)) == video


async def test_a_range_is_downloaded(gateway: Any) -> None:
    video = await upload(gateway, b"0123456789")
    for request, expected in [
        (api.DownloadRequest(id=video.id, offset=3, length=4), b"3456"),
        (api.DownloadRequest(id=video.id, offset=8), b"89"),
        (api.DownloadRequest(id=video.id, offset=8, length=100), b"89"),
        (api.DownloadRequest(id=video.id, length=0), b""),
    ]:
        messages = [message async for message in gateway.Download(request)]
        assert b"".join(message.chunk for message in messages) == expected
    beyond = gateway.Download(api.DownloadRequest(id=video.id, offset=10))
    assert (await failure(beyond))[0] is grpc.StatusCode.OUT_OF_RANGE
    negative = gateway.Download(api.DownloadRequest(id=video.id, offset=-1))
    assert (await failure(negative))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_videos_are_listed_by_pages(gateway: Any) -> None:
    for number in range(3):
        await upload(gateway, b"x", title=f"{number}")
    first = await gateway.ListVideos(api.ListVideosRequest(page_size=2))
    assert [video.title for video in first.videos] == ["2", "1"]
    second = await gateway.ListVideos(
        api.ListVideosRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [video.title for video in second.videos] == ["0"]
    assert second.next_page_token == ""


async def test_an_invented_page_token_is_refused(gateway: Any) -> None:
    request = api.ListVideosRequest(page_token="invented")  # noqa: S106  no password
    code, details = await failure(gateway.ListVideos(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "page token" in details


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "first message of an upload carries the metadata"),
        (parts(b"x")[1:], "first message of an upload carries the metadata"),
        ([api.UploadRequest()], "first message of an upload carries the metadata"),
        (parts(), "has no bytes"),
        (parts(b"", b""), "has no bytes"),
        (parts()[:1] + parts(), "After the first message come chunks"),
        ([*parts()[:1], api.UploadRequest()], "After the first message come chunks"),
        (
            [*parts(b"x")[:2], api.UploadRequest(metadata=api.UploadMetadata(), end=ONE_BYTE)],
            "After the first message come chunks",
        ),
        (parts()[:1] + parts(b"x", b"y")[2:], "1 bytes have arrived, and the end says 2"),
        (
            parts()[:1] + ending_with_a_chunk(parts(b"x", b"y"))[2:],
            "1 bytes have arrived, and the end says 2",
        ),
        (parts(size_limit_bytes=-1), "size limit"),
        (parts(b"x", title=" "), "The title is empty"),
        (parts(b"x", content_type="text/html"), "content type"),
    ],
)
async def test_an_upload_that_breaks_the_contract_is_refused(
    gateway: Any, settings: Settings, messages: list[api.UploadRequest], message: str
) -> None:
    call = await send(gateway.Upload(metadata=FOR_OWNER), messages)
    code, details = await failure(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert files_in(settings) == []


async def test_the_end_comes_with_the_last_chunk_or_alone(gateway: Any, settings: Settings) -> None:
    alone = parts(b"moving ", b"pictures")
    for messages in (alone, ending_with_a_chunk(alone)):
        video = await (await send(gateway.Upload(metadata=FOR_OWNER), messages))
        assert video.sha256 == hashlib.sha256(b"moving pictures").digest()
    assert len(files_in(settings)) == 2


async def test_a_queue_that_knows_no_end_with_a_chunk_refuses_it(
    gateway: Any, settings: Settings
) -> None:
    """Of two parts it reads the last one, and so misses the bytes that the end counts."""
    *others, last = ending_with_a_chunk(parts(b"moving ", b"pictures"))
    read = as_read_before(last)
    assert (read.WhichOneof("part"), read.chunk, read.end.size_bytes) == ("end", b"", 15)
    messages = [*others, api.UploadRequest.FromString(read.SerializeToString())]
    code, details = await failure(await send(gateway.Upload(metadata=FOR_OWNER), messages))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("7 bytes have arrived, and the end says 15")
    assert files_in(settings) == []


async def test_a_file_without_a_last_chunk_is_not_stored(gateway: Any, settings: Settings) -> None:
    async def chunks(*, is_last: bool) -> AsyncIterator[Chunk]:
        yield Chunk(b"whole, but who knows?", is_last)

    async def sent(*, is_last: bool) -> Any:
        call, said = gateway.Upload(metadata=FOR_OWNER), parts()[0].metadata
        source = chunks(is_last=is_last)
        return await send_file(
            call, api.UploadRequest, said, source, go_ahead_seconds=30, step_seconds=30
        )

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await sent(is_last=False)
    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert files_in(settings) == []
    assert (await sent(is_last=True)).size_bytes == 21


async def test_an_upload_without_its_end_is_not_stored(gateway: Any, settings: Settings) -> None:
    call = await send(gateway.Upload(metadata=FOR_OWNER), parts(b"whole, but who knows?")[:-1])
    assert (await failure(call))[0] is grpc.StatusCode.ABORTED
    assert files_in(settings) == []


async def test_an_upload_for_which_there_is_no_room_is_refused_before_its_first_byte(
    gateway: Any, settings: Settings
) -> None:
    """A form may be 16 KiB longer than the video that is in it."""
    fits = parts(size_limit_bytes=settings.quota_bytes + 16 * 1024)
    call = gateway.Upload(metadata=FOR_OWNER)
    await call.write(fits[0])
    assert "go-ahead" in await call.initial_metadata()
    call.cancel()
    too_large = parts(size_limit_bytes=settings.quota_bytes + 16 * 1024 + 1)
    call = gateway.Upload(metadata=FOR_OWNER)
    await call.write(too_large[0])
    assert (await failure(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_upload_over_the_limit_is_refused(gateway: Any, settings: Settings) -> None:
    code, details = await failure(
        gateway.Upload(iter(parts(*[b"x" * 900_000] * 4)), metadata=FOR_OWNER)
    )
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "3000000 bytes at most" in details
    assert files_in(settings) == []


async def test_a_client_that_writes_on_after_a_refusal_still_learns_why(gateway: Any) -> None:
    """A Python client would otherwise put an INTERNAL of its own in the place of our answer."""
    for _ in range(10):
        call = gateway.Upload(metadata=FOR_OWNER)
        for message in parts(*[b"x" * 900_000] * 6):
            await call.write(message)
        await call.done_writing()
        assert (await failure(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_over_1_mib_is_refused(gateway: Any, settings: Settings) -> None:
    async def too_much() -> AsyncIterator[Chunk]:
        yield Chunk(b"x" * MEBIBYTE, is_last=True)

    call = gateway.Upload(metadata=FOR_OWNER)
    said = parts()[0].metadata
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send_file(
            call, api.UploadRequest, said, too_much(), go_ahead_seconds=30, step_seconds=30
        )
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await upload(gateway, b"x" * (MEBIBYTE - 16))


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        (("on-behalf-of", ""),),
        (("on-behalf-of", "uploader"),),
        (("on-behalf-of", "https://video-demo.test/client/uploader"),),
        (("on-behalf-of", OWNER), ("on-behalf-of", OWNER + "-2")),
    ],
)
async def test_nobody_is_called_for_without_one_well_formed_name(
    gateway: Any,
    settings: Settings,
    metadata: tuple[tuple[str, str], ...] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = await upload(gateway, b"x")
    stored = files_in(settings)
    for call in (
        gateway.Upload(iter(parts(b"x")[:1]), metadata=metadata),
        gateway.DeleteVideo(api.DeleteVideoRequest(id=video.id), metadata=metadata),
    ):
        code, details = await failure(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "on-behalf-of" in details
    assert files_in(settings) == stored
    assert "call.failed" not in capsys.readouterr().out  # it is the caller's fault


@pytest.mark.database("sqlite")
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=50))
async def test_any_text_on_behalf_of_whom_is_a_spiffe_id_or_refused(
    gateway: Any, name: str
) -> None:
    call = gateway.DeleteVideo(
        api.DeleteVideoRequest(id="none"), metadata=(("on-behalf-of", name),)
    )
    try:
        SpiffeId.parse(name.strip())  # HTTP/2 takes the space around a value away
        expected = grpc.StatusCode.NOT_FOUND
    except SpiffeIdError:
        expected = grpc.StatusCode.INVALID_ARGUMENT
    assert (await failure(call))[0] is expected


async def test_only_the_owner_deletes(gateway: Any) -> None:
    video = await upload(gateway, b"x")
    request = api.DeleteVideoRequest(id=video.id)
    other = (("on-behalf-of", "spiffe://video-demo.test/console"),)
    code, _ = await failure(gateway.DeleteVideo(request, metadata=other))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    await gateway.DeleteVideo(request, metadata=FOR_OWNER)
    for call in (
        gateway.GetVideo(api.GetVideoRequest(id=video.id)),
        gateway.DeleteVideo(request, metadata=FOR_OWNER),
        gateway.Download(api.DownloadRequest(id=video.id)),
        gateway.WatchVideo(api.WatchVideoRequest(id=video.id)),
    ):
        assert (await failure(call))[0] is grpc.StatusCode.NOT_FOUND


async def test_the_work_on_a_video_from_claim_to_completion(gateway: Any, transcoder: Any) -> None:
    video = await upload(gateway, b"the bytes")
    watch = gateway.WatchVideo(api.WatchVideoRequest(id=video.id))
    assert await watch.read() == video

    claimed = await claim(transcoder)
    assert claimed.video.id == video.id
    assert (claimed.lease_seconds, claimed.attempt) == (30, 1)
    assert (await watch.read()).status == api.VIDEO_STATUS_PROCESSING

    fetch = transcoder.FetchSource(api.FetchSourceRequest(lease=claimed.lease))
    assert b"".join([message.chunk async for message in fetch]) == b"the bytes"

    rendition = await publish(transcoder, claimed.lease, b"smaller", duration_ms=40)
    assert not (await gateway.GetVideo(api.GetVideoRequest(id=video.id))).renditions

    for status, percent in [
        (api.VIDEO_STATUS_PROCESSING, 40),
        (api.VIDEO_STATUS_COMPLETED, 0),
    ]:
        await transcoder.UpdateVideoStatus(
            api.UpdateVideoStatusRequest(
                lease=claimed.lease, status=status, progress_percent=percent
            )
        )
        seen = await watch.read()
        assert seen.status == status
    assert list(seen.renditions) == [rendition]
    assert await watch.read() is grpc.aio.EOF
    assert not (await transcoder.ClaimVideo(api.ClaimVideoRequest())).HasField("claim")


async def test_a_worker_learns_the_limit_of_a_rendition_with_its_claim(
    gateway: Any, transcoder: Any, settings: Settings
) -> None:
    """A rendition of that size is taken, and one of a byte more is not."""
    await upload(gateway, b"x")
    claimed = await claim(transcoder)
    limit = claimed.max_rendition_bytes
    assert limit == settings.limits.rendition_bytes
    fits = [b"x" * (limit // 4)] * 4
    assert (await publish(transcoder, claimed.lease, *fits)).size_bytes == limit
    with pytest.raises(grpc.aio.AioRpcError, match=f"{limit} bytes at most"):
        await publish(transcoder, claimed.lease, *fits, b"y")


async def test_a_failure_reaches_the_uploader(gateway: Any, transcoder: Any) -> None:
    video = await upload(gateway, b"x")
    await transcoder.UpdateVideoStatus(
        api.UpdateVideoStatusRequest(
            lease=(await claim(transcoder)).lease,
            status=api.VIDEO_STATUS_FAILED,
            failure_reason="It has no picture.",
        )
    )
    failed = await gateway.GetVideo(api.GetVideoRequest(id=video.id))
    assert failed.status == api.VIDEO_STATUS_FAILED
    assert failed.failure_reason == "It has no picture."


async def test_a_lost_lease_is_aborted(
    gateway: Any, transcoder: Any, clock: Clock, settings: Settings
) -> None:
    await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    clock.advance(settings.lease_seconds)
    for call in (
        transcoder.FetchSource(api.FetchSourceRequest(lease=lease)),
        transcoder.UpdateVideoStatus(
            api.UpdateVideoStatusRequest(lease=lease, status=api.VIDEO_STATUS_COMPLETED)
        ),
    ):
        assert (await failure(call))[0] is grpc.StatusCode.ABORTED


async def test_a_lost_lease_is_noticed_without_any_call(
    gateway: Any, transcoder: Any, clock: Clock, settings: Settings
) -> None:
    video = await upload(gateway, b"x")
    await claim(transcoder)
    watch = gateway.WatchVideo(api.WatchVideoRequest(id=video.id), timeout=30)
    assert (await watch.read()).status == api.VIDEO_STATUS_PROCESSING
    clock.advance(settings.lease_seconds)
    assert (await watch.read()).status == api.VIDEO_STATUS_PENDING
    watch.cancel()


@pytest.mark.parametrize(
    "said",
    [
        {"status": api.VIDEO_STATUS_UNSPECIFIED},
        {"status": api.VIDEO_STATUS_PENDING},
        {"status": 99},
        {"status": api.VIDEO_STATUS_PROCESSING, "progress_percent": 101},
        {"status": api.VIDEO_STATUS_FAILED},
    ],
)
async def test_a_bad_report_is_refused_and_changes_nothing(
    gateway: Any, transcoder: Any, said: dict[str, Any]
) -> None:
    await upload(gateway, b"x")
    claimed = await claim(transcoder)
    report = api.UpdateVideoStatusRequest(lease=claimed.lease, **said)
    code, _ = await failure(transcoder.UpdateVideoStatus(report))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    video = await gateway.GetVideo(api.GetVideoRequest(id=claimed.video.id))
    assert video == claimed.video


@pytest.mark.parametrize("seconds", [-1, 61])
async def test_a_worker_waits_a_minute_at_most(transcoder: Any, seconds: int) -> None:
    call = transcoder.ClaimVideo(api.ClaimVideoRequest(wait_seconds=seconds))
    assert (await failure(call))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_lease_is_asked_for(transcoder: Any) -> None:
    for call in (
        transcoder.FetchSource(api.FetchSourceRequest()),
        transcoder.UpdateVideoStatus(api.UpdateVideoStatusRequest()),
    ):
        assert (await failure(call))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_waiting_claim_gets_the_next_upload(gateway: Any, transcoder: Any) -> None:
    waiting = transcoder.ClaimVideo(api.ClaimVideoRequest(wait_seconds=60))
    # The second call comes after the first on the same connection, and finds nothing either.
    assert not (await transcoder.ClaimVideo(api.ClaimVideoRequest())).HasField("claim")
    video = await upload(gateway, b"x")
    assert (await waiting).claim.video.id == video.id


async def test_a_caller_s_deadline_ends_an_upload_and_leaves_nothing(
    gateway: Any, settings: Settings
) -> None:
    async def slow() -> AsyncIterator[api.UploadRequest]:
        for message in parts(b"x")[:-1]:
            yield message
        await asyncio.Event().wait()

    call = gateway.Upload(slow(), metadata=FOR_OWNER, timeout=0.3)
    assert (await failure(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: files_in(settings) == [])


async def test_a_silent_upload_is_ended(
    config: Config, settings: Settings, certs: Path, clock: Clock
) -> None:
    impatient = dataclasses.replace(settings, idle_seconds=1)
    source = IdentitySource(load_identity(config.identity, roles=frozenset({Role.SERVER})))
    async with (
        open_service(impatient, clock=clock) as service,
        running(config, source, service) as address,
        Clients(str(address), certs).stub("gateway") as gateway,
    ):
        call = gateway.Upload(metadata=FOR_OWNER)
        for message in parts(b"some")[:-1]:
            await call.write(message)
        code, details = await failure(call)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "sent nothing for 1 s" in details
        assert files_in(settings) == []


async def test_a_cancelled_upload_leaves_nothing(gateway: Any, settings: Settings) -> None:
    call = gateway.Upload(metadata=FOR_OWNER)
    for message in parts(b"x" * 1000, b"y" * 1000)[:-1]:
        await call.write(message)
    await until(lambda: len(files_in(settings)) == 1)
    call.cancel()
    await until(lambda: files_in(settings) == [])
    assert not (await gateway.ListVideos(api.ListVideosRequest())).videos


async def test_a_surprise_is_told_to_the_log_and_not_to_the_caller(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Catalog, "get", broken)
    code, details = await failure(gateway.GetVideo(api.GetVideoRequest(id="x")))
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in details
    assert "Traceback" not in details
    logged = capsys.readouterr().out
    assert "call.failed" in logged
    assert "/secret/path" in logged


async def test_a_flood_of_surprises_has_a_few_lines(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a traceback: without the rate limit, a caller could push all else out of the log."""

    async def broken(*_: object) -> None:
        raise LookupError("surprise")

    monkeypatch.setattr(Catalog, "get", broken)
    no_second_passes = LogRateLimiter(lambda *_: None, lines=2, later=lambda *_: None)
    monkeypatch.setattr(events, "_LIMIT", no_second_passes)
    request = api.GetVideoRequest(id="x")
    codes = {(await failure(gateway.GetVideo(request)))[0] for _ in range(5)}
    assert codes == {grpc.StatusCode.INTERNAL}
    assert capsys.readouterr().out.count("call.failed") == 2


async def test_a_lost_file_is_logged_with_its_video(
    gateway: Any, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    video = await upload(gateway, b"0123456789")
    (settings.data / "sources" / video.id).write_bytes(b"01234")
    download = gateway.Download(api.DownloadRequest(id=video.id))
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        _ = [message async for message in download]
    assert lost.value.code() is grpc.StatusCode.DATA_LOSS
    assert f"The source of video {video.id} is lost." in capsys.readouterr().out


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1])
INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), 2**31 - 1])
LEASES = st.builds(api.Lease, video_id=ANY_TEXT, token=INT64)
ANY_CALL = st.one_of(
    st.tuples(st.just("GetVideo"), st.builds(api.GetVideoRequest, id=ANY_TEXT)),
    st.tuples(
        st.just("ListVideos"),
        st.builds(api.ListVideosRequest, page_size=INT32, page_token=ANY_TEXT)
        | st.builds(
            api.ListVideosRequest,
            page_token=st.integers(0, 2**64 - 1).map(encode_page_token),
        ),
    ),
    st.tuples(st.just("WatchVideo"), st.builds(api.WatchVideoRequest, id=ANY_TEXT)),
    st.tuples(
        st.just("Download"),
        st.builds(api.DownloadRequest, id=ANY_TEXT, offset=INT64, length=INT64),
    ),
    st.tuples(
        st.just("DownloadRendition"),
        st.builds(
            api.DownloadRenditionRequest,
            video_id=ANY_TEXT,
            name=ANY_TEXT,
            offset=INT64,
            length=INT64,
        ),
    ),
    st.tuples(st.just("DeleteVideo"), st.builds(api.DeleteVideoRequest, id=ANY_TEXT)),
    st.tuples(st.just("FetchSource"), st.builds(api.FetchSourceRequest, lease=LEASES)),
    st.tuples(
        st.just("UpdateVideoStatus"),
        st.builds(
            api.UpdateVideoStatusRequest,
            lease=LEASES,
            status=st.integers(0, 9),
            progress_percent=INT32,
            failure_reason=ANY_TEXT,
        ),
    ),
)
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ABORTED,
}


@pytest.mark.database("sqlite")
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(call=ANY_CALL)
async def test_no_request_surprises_the_queue(
    gateway: Any, transcoder: Any, call: tuple[str, Any]
) -> None:
    """Whatever is in it: it is answered, or it is the caller's fault. INTERNAL would be ours."""
    method, request = call
    of_worker = method in {"FetchSource", "UpdateVideoStatus"}
    stub, metadata = (transcoder, None) if of_worker else (gateway, FOR_OWNER)
    assert await getattr(stub, method)(request, metadata=metadata).code() in EXPECTED


async def test_the_log_has_ids_and_identities_and_no_titles(
    gateway: Any, transcoder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    video = await upload(gateway, b"confidential bytes", title="confidential title")
    await claim(transcoder)
    await gateway.DeleteVideo(api.DeleteVideoRequest(id=video.id), metadata=FOR_OWNER)
    logged = capsys.readouterr().out
    for event in ("video.stored", "video.claimed", "video.deleted"):
        assert event in logged
    assert video.id in logged
    assert OWNER in logged
    assert "spiffe://video-demo.test/transcoder" in logged
    assert "confidential" not in logged


@pytest.mark.database("sqlite")
async def test_an_upload_whose_client_is_killed_leaves_nothing(
    clients: Clients, settings: Settings
) -> None:
    """The connection breaks without a word, which gRPC first takes for the end of the upload."""
    for _ in range(10):
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            upload_and_die.__file__,
            clients.address,
            str(clients.certs / "gateway"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert await program.wait() == -signal.SIGKILL
        await until(lambda: files_in(settings) == [])
    async with clients.stub("gateway") as gateway:
        assert not (await gateway.ListVideos(api.ListVideosRequest())).videos


async def completed(gateway: Any, transcoder: Any, content: bytes) -> Any:
    """Return a completed video with one rendition, `360p`."""
    await upload(gateway, b"source")
    claimed = await claim(transcoder)
    await publish(transcoder, claimed.lease, content)
    await transcoder.UpdateVideoStatus(
        api.UpdateVideoStatusRequest(lease=claimed.lease, status=api.VIDEO_STATUS_COMPLETED)
    )
    return await gateway.GetVideo(api.GetVideoRequest(id=claimed.video.id))


async def test_what_is_published_is_what_is_downloaded(gateway: Any, transcoder: Any) -> None:
    content = os.urandom(MEBIBYTE // 2)
    video = await completed(gateway, transcoder, content)
    request = api.DownloadRenditionRequest(video_id=video.id, name="360p")
    first, *rest = [message async for message in gateway.DownloadRendition(request)]
    assert [first.rendition] == list(video.renditions)
    assert first.rendition.sha256 == hashlib.sha256(content).digest()
    assert b"".join(message.chunk for message in rest) == content


async def test_a_range_of_a_rendition_is_downloaded(gateway: Any, transcoder: Any) -> None:
    video = await completed(gateway, transcoder, b"0123456789")
    for length, expected in [(4, b"3456"), (None, b"3456789"), (0, b"")]:
        request = api.DownloadRenditionRequest(
            video_id=video.id, name="360p", offset=3, length=length
        )
        messages = [message async for message in gateway.DownloadRendition(request)]
        assert b"".join(message.chunk for message in messages) == expected
    for name, offset, code in [
        ("360p", 10, grpc.StatusCode.OUT_OF_RANGE),
        ("360p", -1, grpc.StatusCode.INVALID_ARGUMENT),
        ("720p", 0, grpc.StatusCode.NOT_FOUND),
    ]:
        request = api.DownloadRenditionRequest(video_id=video.id, name=name, offset=offset)
        assert (await failure(gateway.DownloadRendition(request)))[0] is code


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"content_type": "text/html"}, "is one of"),
        ({"width": 0}, "pixels"),
        ({"duration_ms": -1}, "milliseconds"),
    ],
)
async def test_a_rendition_that_breaks_the_rules_is_refused_before_its_first_byte(
    gateway: Any, transcoder: Any, said: dict[str, Any], message: str
) -> None:
    await upload(gateway, b"x")
    call = transcoder.PublishRendition()
    await call.write(rendition_parts((await claim(transcoder)).lease, **said)[0])
    code, details = await failure(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details


async def test_a_rendition_without_its_end_is_not_stored(
    gateway: Any, transcoder: Any, settings: Settings
) -> None:
    video = await upload(gateway, b"x")
    messages = rendition_parts((await claim(transcoder)).lease, b"whole, but who knows?")[:-1]
    call = await send(transcoder.PublishRendition(), messages)
    assert (await failure(call))[0] is grpc.StatusCode.ABORTED
    assert files_in(settings) == [video.id]


async def test_a_late_worker_publishes_nothing(
    gateway: Any, transcoder: Any, clock: Clock, settings: Settings
) -> None:
    """The lease ends in the middle, which is found out at the end; then at the beginning."""
    video = await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    first, *rest = rendition_parts(lease, b"late")
    call = transcoder.PublishRendition()
    await call.write(first)
    assert "go-ahead" in await call.initial_metadata()
    clock.advance(settings.lease_seconds)
    for message in rest:
        await call.write(message)
    assert (await failure(call))[0] is grpc.StatusCode.ABORTED
    assert files_in(settings) == [video.id]

    call = transcoder.PublishRendition()
    await call.write(first)
    assert (await failure(call))[0] is grpc.StatusCode.ABORTED


def beat(lease: Any, percent: int) -> api.HeartbeatRequest:
    return api.HeartbeatRequest(lease=lease, progress_percent=percent)


async def test_each_heartbeat_is_answered_renews_the_lease_and_shows_the_progress(
    gateway: Any, transcoder: Any, clock: Clock, settings: Settings
) -> None:
    video = await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    watch = gateway.WatchVideo(api.WatchVideoRequest(id=video.id))
    await watch.read()
    heartbeat = transcoder.Heartbeat()
    for percent in (10, 20, 30):
        clock.advance(settings.lease_seconds - 1)
        await heartbeat.write(beat(lease, percent))
        assert (await heartbeat.read()).lease_seconds == settings.lease_seconds
        assert (await watch.read()).progress_percent == percent
    await heartbeat.done_writing()
    assert await heartbeat.read() is grpc.aio.EOF
    assert await heartbeat.code() is grpc.StatusCode.OK
    watch.cancel()


async def test_a_heartbeat_under_a_lost_lease_is_aborted(
    gateway: Any, transcoder: Any, clock: Clock, settings: Settings
) -> None:
    await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    heartbeat = transcoder.Heartbeat()
    await heartbeat.write(beat(lease, 1))
    await heartbeat.read()
    clock.advance(settings.lease_seconds)
    await heartbeat.write(beat(lease, 2))
    assert (await failure(heartbeat))[0] is grpc.StatusCode.ABORTED


async def test_a_heartbeat_for_a_deleted_video_is_not_found(gateway: Any, transcoder: Any) -> None:
    video = await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    heartbeat = transcoder.Heartbeat()
    await heartbeat.write(beat(lease, 1))
    await heartbeat.read()
    await gateway.DeleteVideo(api.DeleteVideoRequest(id=video.id), metadata=FOR_OWNER)
    await heartbeat.write(beat(lease, 2))
    assert (await failure(heartbeat))[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "request_", [api.HeartbeatRequest(), beat(api.Lease(video_id="x", token=1), 101)]
)
async def test_a_heartbeat_without_lease_or_with_no_percentage_is_refused(
    transcoder: Any, request_: api.HeartbeatRequest
) -> None:
    heartbeat = transcoder.Heartbeat()
    await heartbeat.write(request_)
    assert (await failure(heartbeat))[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_deleted_video_takes_what_is_being_published_of_it_along(
    gateway: Any, transcoder: Any, settings: Settings
) -> None:
    video = await upload(gateway, b"x")
    lease = (await claim(transcoder)).lease
    await publish(transcoder, lease, b"done", name="done")
    first, *rest = rendition_parts(lease, b"under way")
    call = transcoder.PublishRendition()
    await call.write(first)
    assert "go-ahead" in await call.initial_metadata()
    await gateway.DeleteVideo(api.DeleteVideoRequest(id=video.id), metadata=FOR_OWNER)
    for message in rest:
        await call.write(message)
    assert (await failure(call))[0] is grpc.StatusCode.ABORTED
    report = api.UpdateVideoStatusRequest(lease=lease, status=api.VIDEO_STATUS_COMPLETED)
    code, _ = await failure(transcoder.UpdateVideoStatus(report))
    assert code is grpc.StatusCode.ABORTED
    assert files_in(settings) == []
