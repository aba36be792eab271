"""Getting what was made of a video, as a player does."""

import hashlib

import pytest

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.fake_queue import VIDEO_ID, make_video
from videoqueue_api.v1 import video_queue_pb2 as api

FILM = b"smaller moving pictures"
PICTURE = b"a picture"


def rendition(name: str, content: bytes, content_type: str, duration_ms: int) -> api.Rendition:
    return api.Rendition(
        name=name,
        content_type=content_type,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).digest(),
        width=640,
        height=360,
        duration_ms=duration_ms,
    )


@pytest.fixture
def completed(gateway: Gateway) -> Gateway:
    gateway.queue.renditions = {"360p": FILM, "thumbnail": PICTURE}
    gateway.queue.video = make_video(
        title="By the sea",
        status=api.VIDEO_STATUS_COMPLETED,
        renditions=[
            rendition("360p", FILM, "video/mp4", 2500),
            rendition("thumbnail", PICTURE, "image/jpeg", 0),
        ],
    )
    return gateway


@pytest.mark.parametrize(
    ("path", "content", "content_type", "name"),
    [
        ("renditions/360p", FILM, "video/mp4", "By_the_sea-360p.mp4"),
        ("thumbnail", PICTURE, "image/jpeg", "By_the_sea-thumbnail.jpg"),
    ],
)
async def test_a_browser_can_show_it(
    completed: Gateway, path: str, content: bytes, content_type: str, name: str
) -> None:
    async with (
        completed.client() as client,
        client.get(f"/videos/{VIDEO_ID}/{path}") as response,
    ):
        assert response.status == 200
        assert await response.read() == content
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Content-Disposition"].startswith(f'inline; filename="{name}"')
        assert response.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'


async def test_a_player_can_seek(completed: Gateway) -> None:
    async with (
        completed.client() as client,
        client.get(
            f"/videos/{VIDEO_ID}/renditions/360p", headers={"Range": "bytes=8-13"}
        ) as response,
    ):
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes 8-13/{len(FILM)}"
        assert await response.read() == FILM[8:14]
    request = completed.queue.calls[-1].request
    assert isinstance(request, api.DownloadRenditionRequest)
    assert (request.name, request.offset, request.length) == ("360p", 8, 6)


async def test_what_a_browser_has_already_is_not_sent_again(completed: Gateway) -> None:
    etag = f'"{hashlib.sha256(FILM).hexdigest()}"'
    async with (
        completed.client() as client,
        client.get(
            f"/videos/{VIDEO_ID}/renditions/360p", headers={"If-None-Match": etag}
        ) as response,
    ):
        assert response.status == 304
    assert completed.queue.calls[-1].method == "GetVideo"


@pytest.mark.parametrize("path", ["renditions/1080p", "renditions/..%2Fsource", "renditions/360P"])
async def test_a_rendition_that_is_not_there_is_404(completed: Gateway, path: str) -> None:
    async with (
        completed.client() as client,
        client.get(f"/videos/{VIDEO_ID}/{path}") as response,
    ):
        assert response.status == 404
        assert "renditions" in (await response.json())["detail"]


async def test_a_video_that_is_not_completed_has_no_thumbnail_yet(gateway: Gateway) -> None:
    async with (
        gateway.client() as client,
        client.get(f"/videos/{VIDEO_ID}/thumbnail") as response,
    ):
        assert response.status == 404


async def test_the_renditions_are_named_where_the_video_is(completed: Gateway) -> None:
    async with completed.client() as client, client.get(f"/videos/{VIDEO_ID}") as response:
        renditions = (await response.json())["renditions"]
    assert [each["url"] for each in renditions] == [
        f"/videos/{VIDEO_ID}/renditions/360p",
        f"/videos/{VIDEO_ID}/thumbnail",
    ]
    assert renditions[0] == {
        "name": "360p",
        "url": f"/videos/{VIDEO_ID}/renditions/360p",
        "content_type": "video/mp4",
        "size_bytes": len(FILM),
        "sha256": hashlib.sha256(FILM).hexdigest(),
        "width": 640,
        "height": 360,
        "duration_seconds": 2.5,
    }
