"""Getting the bytes of a video back."""

import aiohttp
import grpc
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.queue_client import QueueClient
from gateway.videos.files import file_headers, source_of
from tests.unit.gateway.conftest import Gateway, Recorder, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue, make_video
from tests.unit.gateway.raw_client import RawClient
from videoqueue_api.v1 import video_queue_pb2 as api

PATH = f"/videos/{VIDEO_ID}/source"
CONTENT = b"moving pictures"
ETAG = f'"{make_video(CONTENT).sha256.hex()}"'
OTHER_ETAG = f'"{"0" * 64}"'


async def test_the_whole_source(gateway: Gateway) -> None:
    async with gateway.client() as client, client.get(PATH) as response:
        assert response.status == 200
        assert await response.read() == CONTENT
        assert response.headers["Content-Length"] == "15"
        assert response.headers["Content-Type"] == "video/mp4"
        assert response.headers["ETag"] == ETAG
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Disposition"].startswith("attachment; ")
        assert "Content-Range" not in response.headers


@pytest.mark.parametrize(
    ("header", "content_range", "content"),
    [
        ("bytes=0-5", "bytes 0-5/15", b"moving"),
        ("bytes=7-", "bytes 7-14/15", b"pictures"),
        ("bytes=-8", "bytes 7-14/15", b"pictures"),
        ("bytes=14-99", "bytes 14-14/15", b"s"),
    ],
)
async def test_a_range(gateway: Gateway, header: str, content_range: str, content: bytes) -> None:
    async with (
        gateway.client() as client,
        client.get(PATH, headers={"Range": header}) as response,
    ):
        assert response.status == 206
        assert response.headers["Content-Range"] == content_range
        assert response.headers["Content-Length"] == str(len(content))
        assert await response.read() == content
    request = gateway.queue.calls[-1].request
    assert isinstance(request, api.DownloadRequest)
    assert request.length == len(content)  # the queue is not asked for more than is sent


async def test_a_range_behind_the_end_is_416(gateway: Gateway) -> None:
    async with (
        gateway.client() as client,
        client.get(PATH, headers={"Range": "bytes=15-"}) as response,
    ):
        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */15"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=0-1,3-4"}, 200),
        ({"Range": "bytes=0-5", "If-Range": ETAG}, 206),
        ({"Range": "bytes=0-5", "If-Range": OTHER_ETAG}, 200),
        ({"Range": "bytes=0-5", "If-Range": "W/" + ETAG}, 200),  # only a strong tag will do
        ({"Range": "bytes=0-5", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": "W/" + ETAG}, 304),
        ({"If-None-Match": f"{OTHER_ETAG}, {ETAG}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": OTHER_ETAG}, 200),
        ({"If-None-Match": ETAG, "Range": "bytes=0-5"}, 304),
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"{OTHER_ETAG}, {ETAG}", "Range": "bytes=0-5"}, 206),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
    ],
)
async def test_conditions(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    async with gateway.client() as client, client.get(PATH, headers=headers) as response:
        assert response.status == status
        assert response.headers["ETag"] == ETAG
        assert await response.read() == {200: CONTENT, 206: b"moving", 304: b""}[status]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("more", [{}, {"Range": "bytes=0-5"}, {"If-None-Match": ETAG}])
@pytest.mark.parametrize("tag", [OTHER_ETAG, "W/" + ETAG, "nonsense"])
async def test_another_file_than_the_client_began_with_is_412(
    gateway: Gateway, method: str, more: dict[str, str], tag: str
) -> None:
    """RFC 9110, section 13.1.1; only a strong tag will do. So a download can be resumed."""
    headers = {"If-Match": tag, **more}
    async with (
        gateway.client() as client,
        client.request(method, PATH, headers=headers) as response,
    ):
        assert response.status == 412
    assert [call.method for call in gateway.queue.calls] == ["GetVideo"]


async def test_head_tells_the_size_and_ignores_ranges(gateway: Gateway) -> None:
    async with (
        gateway.client() as client,
        client.head(PATH, headers={"Range": "bytes=0-5"}) as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Length"] == "15"
    assert [call.method for call in gateway.queue.calls] == ["GetVideo"]


async def test_a_source_that_comes_short_is_not_taken_for_whole(
    gateway: Gateway, recorder: Recorder
) -> None:
    gateway.queue.download_ends_after = 8
    async with gateway.client() as client, client.get(PATH) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert recorder.failures == []  # it is logged as the request's, once


async def test_a_client_that_leaves_is_no_failure_of_the_gateway(
    gateway: Gateway, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = web.StreamResponse.write

    async def write_too_late(response: web.StreamResponse, chunk: bytes) -> None:
        request = response._req  # noqa: SLF001
        assert request
        assert request.transport
        request.transport.close()  # as when the client's close_notify has just come
        await write(response, chunk)

    monkeypatch.setattr(web.StreamResponse, "write", write_too_late)
    async with gateway.client() as client, client.get(PATH) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await gateway.stop()
    assert recorder.failures == []


async def test_a_connection_of_its_own_that_fails_is_one(
    gateway: Gateway, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get_video(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(QueueClient, "get_video", get_video)
    async with gateway.client() as client, client.get(PATH) as response:
        assert response.status == 500
    assert recorder.failures == ["ConnectionRefusedError"]


async def test_a_source_that_is_lost_before_its_first_byte_is_an_error(gateway: Gateway) -> None:
    gateway.queue.fail_download = (grpc.StatusCode.NOT_FOUND, "it is gone")
    async with gateway.client() as client, client.get(PATH) as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["detail"] == "it is gone"


async def test_a_client_that_does_not_read_is_left(start: Start, queue: FakeQueue) -> None:
    gateway = await start(idle_seconds=0.5)
    queue.content = bytes(64 * 1024 * 1024)
    queue.chunk_bytes = 256 * 1024
    queue.video = make_video(queue.content)
    async with RawClient.to(gateway) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(f"GET {PATH} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        assert await queue.how_it_ended() == "cut off"
    assert queue.sent_bytes < 32 * 1024 * 1024


TITLES = st.text(max_size=300)


@given(TITLES, st.sampled_from(["video/mp4", "application/octet-stream", "video/unheard-of"]))
def test_whatever_the_title_the_file_name_is_harmless(title: str, content_type: str) -> None:
    video = make_video(title=title.encode("utf-8", "replace").decode(), content_type=content_type)
    name = source_of(video).name
    assert name
    assert not name.startswith((".", "-"))
    assert len(name) <= 100 + len(".video")
    assert name.endswith((".mp4", ".video"))  # one of ours, whatever the title ends with
    assert not set(name) & set("/\\:*?\"<>|;%$`'\r\n\0")
    header = file_headers(source_of(video), None)["Content-Disposition"]
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


@pytest.mark.parametrize(
    ("title", "header"),
    [
        ("Holiday", "attachment; filename=\"Holiday.mp4\"; filename*=UTF-8''Holiday.mp4"),
        ("../../etc", "attachment; filename=\"etc.mp4\"; filename*=UTF-8''etc.mp4"),
        ("Käse 1", "attachment; filename=\"K_se_1.mp4\"; filename*=UTF-8''K%C3%A4se_1.mp4"),
        ("🎬", "attachment; filename=\"video.mp4\"; filename*=UTF-8''video.mp4"),
        ("clip.mp4", "attachment; filename=\"clip.mp4\"; filename*=UTF-8''clip.mp4"),
        (
            "invoice.exe",
            "attachment; filename=\"invoice.exe.mp4\"; filename*=UTF-8''invoice.exe.mp4",
        ),
    ],
)
def test_the_file_name_comes_from_the_title(title: str, header: str) -> None:
    assert file_headers(source_of(make_video(title=title)), None)["Content-Disposition"] == header


@pytest.mark.parametrize("content_type", ["video/unheard-of", "application/octet-stream"])
def test_a_file_of_an_unknown_type_has_a_suffix_too(content_type: str) -> None:
    video = make_video(title="invoice.exe", content_type=content_type)
    assert source_of(video).name == "invoice.exe.video"
