"""Listing, looking at and deleting videos."""

import hashlib

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.fake_queue import OWNER, VIDEO_ID, make_video
from videoqueue_api.v1 import video_queue_pb2 as api

VIDEO_JSON = {
    "sha256": hashlib.sha256(b"moving pictures").hexdigest(),
    "id": VIDEO_ID,
    "owner": OWNER,
    "title": "clip",
    "description": "",
    "content_type": "video/mp4",
    "size_bytes": 15,
    "status": "pending",
    "progress_percent": 0,
    "failure_reason": None,
    "created_at": "2023-11-14T22:13:20Z",
    "updated_at": "2023-11-14T22:13:20.500Z",
    "renditions": [],
}


async def test_one_video(gateway: Gateway) -> None:
    async with gateway.client() as client, client.get(f"/videos/{VIDEO_ID}") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == VIDEO_JSON
    assert gateway.queue.calls[0].request == api.GetVideoRequest(id=VIDEO_ID)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (api.VIDEO_STATUS_PENDING, "pending"),
        (api.VIDEO_STATUS_PROCESSING, "processing"),
        (api.VIDEO_STATUS_COMPLETED, "completed"),
        (api.VIDEO_STATUS_FAILED, "failed"),
    ],
)
async def test_every_status_has_its_word(
    gateway: Gateway, status: api.VideoStatus.ValueType, word: str
) -> None:
    gateway.queue.video = make_video(
        status=status, failure_reason="no pictures", updated_at=Timestamp(seconds=1, nanos=1)
    )
    async with gateway.client() as client, client.get(f"/videos/{VIDEO_ID}") as response:
        video = await response.json()
    assert video["status"] == word
    assert video["failure_reason"] == "no pictures"
    assert video["updated_at"] == "1970-01-01T00:00:01.000000001Z"


async def test_a_page_of_videos(gateway: Gateway) -> None:
    query = {"page_size": "7", "page_token": "before"}
    async with gateway.client() as client, client.get("/videos", params=query) as response:
        page = await response.json()
    assert gateway.queue.calls[0].request == api.ListVideosRequest(
        page_size=7,
        page_token="before",  # noqa: S106
    )
    assert page == {
        "videos": [VIDEO_JSON],
        "next_page_token": "next",
    }


async def test_a_page_that_nobody_can_want_is_400(gateway: Gateway) -> None:
    async with gateway.client() as client, client.get("/videos?page_size=0") as response:
        assert response.status == 400
    assert gateway.queue.calls == []


async def test_deleting_a_video(gateway: Gateway) -> None:
    async with gateway.client() as client, client.delete(f"/videos/{VIDEO_ID}") as response:
        assert response.status == 204
        assert await response.read() == b""
    assert gateway.queue.calls[0].request == api.DeleteVideoRequest(id=VIDEO_ID)


@pytest.mark.parametrize("video_id", ["%ff", "a%20b", "..%2f..%2fetc", "x" * 65, "%00"])
async def test_what_cannot_be_an_id_is_404_without_asking_the_queue(
    gateway: Gateway, video_id: str
) -> None:
    async with gateway.client() as client, client.get(f"/videos/{video_id}") as response:
        assert response.status == 404
    assert gateway.queue.calls == []


async def test_the_gateway_is_well_when_the_queue_is(gateway: Gateway) -> None:
    async with gateway.client("probe") as client, client.get("/healthz") as response:
        assert response.status == 200
        assert await response.json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path", ["/videos", f"/videos/{VIDEO_ID}", f"/videos/{VIDEO_ID}/events", "/healthz"]
)
async def test_head_is_get_without_a_body(gateway: Gateway, path: str) -> None:
    async with gateway.client() as client, client.head(path) as response:
        assert response.status == 200
        assert await response.read() == b""
