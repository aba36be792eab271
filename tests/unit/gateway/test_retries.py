"""What changes nothing is asked again while the queue is away for a moment, and nothing else is."""

import asyncio
from collections import Counter

import aiohttp
import grpc
import pytest

from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue, make_video
from tests.unit.gateway.test_upload_video import upload
from videoqueue_api.v1 import video_queue_pb2 as api
from videoqueue_client.channel import REPEATABLE

AWAY = grpc.StatusCode.UNAVAILABLE
ATTEMPTS = 3

READS = {
    "GetVideo": f"/videos/{VIDEO_ID}",
    "ListVideos": "/videos",
    "WatchVideo": f"/videos/{VIDEO_ID}/events",
    "Download": f"/videos/{VIDEO_ID}/source",
    "DownloadRendition": f"/videos/{VIDEO_ID}/renditions/360p",
    "Check": "/healthz",
}


@pytest.fixture
def queue() -> FakeQueue:
    """A queue with a finished video, so that a request for its events comes to an end."""
    queue = FakeQueue(renditions={"360p": b"small"})  # type: ignore[abstract]
    rendition = api.Rendition(name="360p", content_type="video/mp4", size_bytes=5)
    queue.video = make_video(status=api.VIDEO_STATUS_COMPLETED, renditions=[rendition])
    queue.news.put_nowait(queue.video)
    return queue


async def answered(gateway: Gateway, method: str, path: str) -> tuple[int, Counter[str]]:
    """Return the status of a request, and how often each call of the queue has come in."""
    async with gateway.client() as client, client.request(method, path) as response:
        await response.read()
    return response.status, Counter(call.method for call in gateway.queue.calls)


def test_all_calls_that_change_nothing_are_tried_here() -> None:
    assert set(READS) == {*REPEATABLE, "Check"}


@pytest.mark.parametrize("method", READS)
async def test_a_read_is_made_again(gateway: Gateway, method: str) -> None:
    gateway.queue.fail_next = {method: [AWAY] * (ATTEMPTS - 1)}
    status, calls = await answered(gateway, "GET", READS[method])
    assert (status, calls[method]) == (200, ATTEMPTS)


@pytest.mark.parametrize("method", READS)
async def test_a_read_is_given_up_after_a_few_attempts(gateway: Gateway, method: str) -> None:
    gateway.queue.fail_next = {method: [AWAY] * ATTEMPTS}
    status, calls = await answered(gateway, "GET", READS[method])
    assert (status, calls[method]) == (503, ATTEMPTS)


async def test_a_watch_that_has_begun_is_not_made_again(gateway: Gateway) -> None:
    """The client has seen the beginning: it is told by the end of the stream, and asks again."""
    gateway.queue.video, gateway.queue.news = make_video(), asyncio.Queue()
    gateway.queue.news_ends_with = (AWAY, "")
    gateway.queue.news.put_nowait(None)
    async with gateway.client() as client, client.get(READS["WatchVideo"]) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert [call.method for call in gateway.queue.calls] == ["WatchVideo"]


async def test_an_upload_is_made_once(gateway: Gateway) -> None:
    gateway.queue.fail_next = {"Upload": [AWAY]}
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
    assert [call.method for call in gateway.queue.calls] == ["Upload"]


async def test_a_deletion_is_made_once(gateway: Gateway) -> None:
    gateway.queue.fail_next = {"DeleteVideo": [AWAY]}
    status, calls = await answered(gateway, "DELETE", f"/videos/{VIDEO_ID}")
    assert (status, calls) == (503, {"DeleteVideo": 1})


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code not in {AWAY, grpc.StatusCode.OK}]
)
async def test_another_failure_is_an_answer(gateway: Gateway, code: grpc.StatusCode) -> None:
    gateway.queue.fail_next = {"ListVideos": [code]}
    _, calls = await answered(gateway, "GET", "/videos")
    assert calls == {"ListVideos": 1}


async def test_attempts_end_with_the_deadline_of_the_call(start: Start) -> None:
    """The second attempt would come after 0.1 s, give or take a fifth."""
    gateway = await start(call_seconds=0.05)
    gateway.queue.fail_next = {"ListVideos": [AWAY] * ATTEMPTS}
    status, calls = await answered(gateway, "GET", "/videos")
    assert status == 504
    assert calls.total() <= 1


async def test_an_outage_is_not_made_worse(gateway: Gateway) -> None:
    """The bucket has 10 tokens and is closed at 5: so many attempts come on top, and no more."""
    gateway.queue.fail = (AWAY, "")
    requests = 30
    for _ in range(requests):
        assert (await answered(gateway, "GET", "/videos"))[0] == 503
    assert requests < len(gateway.queue.calls) <= requests + 5
    gateway.queue.fail, before = None, len(gateway.queue.calls)
    assert (await answered(gateway, "GET", "/videos"))[0] == 200
    assert len(gateway.queue.calls) == before + 1
