"""Uploading: from the client's form to the queue's stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import grpc
import pytest

from gateway.videos.multipart import CHUNK_BYTES
from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue, Stored, happened
from tests.unit.gateway.forms import BOUNDARY, file_part, form, part
from tests.unit.gateway.raw_client import RawClient
from videoqueue_api.v1.video_queue_pb2 import UploadMetadata

CONTENT = bytes(range(256)) * 4096  # four chunks


@asynccontextmanager
async def upload(
    client: aiohttp.ClientSession, content: bytes = CONTENT, **fields: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Upload as a browser does, with aiohttp's own form writer."""
    data = aiohttp.FormData(fields)
    data.add_field("file", content, filename="clip.mp4", content_type="video/mp4")
    async with client.post("/videos", data=data) as response:
        yield response


async def test_the_video_arrives_whole_at_the_queue(gateway: Gateway) -> None:
    async with (
        gateway.client() as client,
        upload(client, title="Holiday", description="by the sea") as response,
    ):
        assert response.status == 201
        assert response.headers["Location"] == f"/videos/{VIDEO_ID}"
        video = await response.json()
    (stored,) = gateway.queue.stored
    size_limit_bytes = stored.metadata.size_limit_bytes
    assert len(CONTENT) < size_limit_bytes < len(CONTENT) + 1024
    metadata = UploadMetadata(
        title="Holiday",
        description="by the sea",
        content_type="video/mp4",
        size_limit_bytes=size_limit_bytes,
    )
    assert stored == Stored(metadata, CONTENT)
    assert (video["title"], video["size_bytes"]) == ("Holiday", len(CONTENT))


async def test_a_client_that_goes_away_cancels_the_call(gateway: Gateway) -> None:
    async with RawClient.to(gateway) as client:
        await client.post(form(file_part(CONTENT)), length_to_send=len(CONTENT) // 2)
        await happened(gateway.queue.first_chunk_arrived)
        client.writer.transport.abort()
        assert await gateway.queue.how_it_ended() == "cut off"
    assert gateway.queue.stored == []


async def test_a_form_without_its_end_stores_nothing(gateway: Gateway) -> None:
    body = form(file_part(CONTENT)).removesuffix(b"--\r\n")
    async with RawClient.to(gateway) as client:
        await client.post(body)
        assert await client.status() == 400
    assert await gateway.queue.how_it_ended() == "cut off"
    assert gateway.queue.stored == []


async def test_a_part_behind_the_file_stores_nothing(gateway: Gateway) -> None:
    async with RawClient.to(gateway) as client:
        await client.post(form(file_part(CONTENT), part("title", b"too late")))
        assert await client.status() == 400
    assert await gateway.queue.how_it_ended() == "cut off"
    assert gateway.queue.stored == []


async def test_a_file_over_the_limit_stores_nothing(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_upload_bytes=len(CONTENT) - 1)
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 413
        assert str(len(CONTENT) - 1) in (await response.json(content_type=None))["detail"]
    assert await queue.how_it_ended() == "cut off"
    assert queue.stored == []


async def test_a_file_at_the_limit_is_stored(start: Start, queue: FakeQueue) -> None:
    gateway = await start(max_upload_bytes=len(CONTENT))
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 201


async def test_a_queue_that_does_not_read_slows_down_the_client(
    start: Start, queue: FakeQueue
) -> None:
    """What the client could send until the gateway gave up is what lay in buffers on the way."""
    gateway = await start(idle_seconds=1)
    queue.reading.clear()
    body = form(file_part(bytes(96 * 1024 * 1024)))
    async with RawClient.to(gateway) as client:
        sending = asyncio.create_task(client.post(body))
        assert await client.status() == 504
        sending.cancel()
    assert client.sent_bytes < 32 * 1024 * 1024  # most of it in the kernel's socket buffers


async def test_a_client_that_does_not_send_is_408(start: Start, queue: FakeQueue) -> None:
    gateway = await start(idle_seconds=1)  # enough for the queue to take what there is
    async with RawClient.to(gateway) as client:
        await client.post(form(file_part(CONTENT)), length_to_send=CHUNK_BYTES * 2)
        assert await client.status() == 408
    assert await queue.how_it_ended() == "cut off"
    assert queue.stored == []


async def test_the_queue_can_refuse_in_the_middle(gateway: Gateway) -> None:
    gateway.queue.fail_upload_after_metadata = (grpc.StatusCode.INVALID_ARGUMENT, "no title")
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 400
        assert (await response.json(content_type=None))["detail"] == "no title"


async def test_a_chunked_body_is_taken_too(gateway: Gateway) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield form(part("title", b"Holiday"), file_part(CONTENT))

    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with (
        gateway.client() as client,
        client.post("/videos", data=body(), headers=headers) as response,
    ):
        assert response.status == 201
    assert [stored.content for stored in gateway.queue.stored] == [CONTENT]


async def test_what_is_no_form_is_415(gateway: Gateway) -> None:
    async with gateway.client() as client, client.post("/videos", data=b"x") as response:
        assert response.status == 415
    assert gateway.queue.calls == []


@pytest.mark.parametrize(
    ("name", "length", "status"),
    [
        ("client/uploader", 3 * 1024**3, 413),
        ("client/viewer", 1000, 403),
        ("probe", 3 * 1024**3, 403),
    ],
)
async def test_a_client_that_asks_first_is_refused_before_it_sends_the_body(
    gateway: Gateway, name: str, length: int, status: int
) -> None:
    async with RawClient.to(gateway, name) as client:
        await client.post_headers(length, "Expect: 100-continue")
        assert await client.status() == status


async def test_a_client_that_asks_first_hears_of_a_bad_key_before_it_sends_the_body(
    gateway: Gateway,
) -> None:
    async with RawClient.to(gateway) as client:
        await client.post_headers(1000, "Expect: 100-continue", "Idempotency-Key: two words")
        assert await client.status() == 400
    assert gateway.queue.calls == []


async def test_the_key_arrives_at_the_queue_without_its_quotes(gateway: Gateway) -> None:
    body = form(file_part(CONTENT))
    async with RawClient.to(gateway) as client:
        await client.post_headers(len(body), 'Idempotency-Key: "a-key"')
        client.writer.write(body)
        assert await client.status() == 201
    (stored,) = gateway.queue.stored
    assert stored.metadata.idempotency_key == "a-key"


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.ABORTED, 409), (grpc.StatusCode.ALREADY_EXISTS, 422)]
)
async def test_a_key_that_the_queue_does_not_take_is_told_with_its_words(
    gateway: Gateway, code: grpc.StatusCode, status: int
) -> None:
    """Only the 409 goes away by itself: it says when to try again."""
    gateway.queue.fail_upload_after_metadata = (code, "what to do about the key")
    async with gateway.client() as client, upload(client) as response:
        assert response.status == status
        assert (await response.json(content_type=None))["detail"] == "what to do about the key"
        assert ("Retry-After" in response.headers) == (status == 409)


async def test_a_client_that_asks_first_is_told_to_go_on(gateway: Gateway) -> None:
    body = form(file_part(b"moving pictures"))
    async with RawClient.to(gateway) as client:
        await client.post_headers(len(body), "Expect: 100-continue")
        assert await client.status() == 100
        client.writer.write(body)
        assert await client.status() == 201


async def test_a_client_that_is_refused_early_is_told_not_to_go_on(gateway: Gateway) -> None:
    async with RawClient.to(gateway) as client:
        await client.post_headers(3 * 1024**3)
        head = await client.head()
    assert head.startswith("HTTP/1.1 413 ")
    assert "Connection: close\r\n" in head
