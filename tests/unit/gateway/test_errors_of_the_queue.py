"""What the client hears when a call to the queue fails."""

import grpc
import pytest

from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue
from tests.unit.gateway.test_upload_video import upload

DETAILS = "the queue's own words"
PASSED_ON = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 422,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
}
KEPT = {
    grpc.StatusCode.OUT_OF_RANGE: 416,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.CANCELLED: 503,
    grpc.StatusCode.UNAUTHENTICATED: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.UNIMPLEMENTED: 500,
    grpc.StatusCode.DATA_LOSS: 500,
}
ROUTES = [
    ("GET", "/videos"),
    ("GET", f"/videos/{VIDEO_ID}"),
    ("GET", f"/videos/{VIDEO_ID}/events"),
    ("GET", f"/videos/{VIDEO_ID}/source"),
    ("DELETE", f"/videos/{VIDEO_ID}"),
    ("GET", "/healthz"),
]


def test_every_status_code_has_its_answer() -> None:
    assert {*PASSED_ON, *KEPT} == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(("code", "status"), [*PASSED_ON.items(), *KEPT.items()])
async def test_a_status_code_becomes_an_http_status(
    gateway: Gateway, code: grpc.StatusCode, status: int
) -> None:
    gateway.queue.fail = (code, DETAILS)
    async with gateway.client() as client, client.get(f"/videos/{VIDEO_ID}") as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert (DETAILS in await response.text()) == (code in PASSED_ON)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_answers_a_failed_call_so(
    gateway: Gateway, method: str, path: str
) -> None:
    gateway.queue.fail = (grpc.StatusCode.NOT_FOUND, DETAILS)
    async with gateway.client() as client, client.request(method, path) as response:
        assert response.status == 404
        assert (await response.json(content_type=None))["detail"] == DETAILS


@pytest.mark.parametrize(
    ("trailing", "status"),
    [
        ((), 429),
        ((("exhausted", "store"),), 507),
        ((("exhausted", "file-size"),), 413),
        ((("exhausted", "what a later queue adds"),), 429),
    ],
)
@pytest.mark.parametrize("moment", ["fail", "fail_upload_after_metadata"])
async def test_an_upload_hears_what_is_exhausted(
    gateway: Gateway, moment: str, trailing: tuple[tuple[str, str], ...], status: int
) -> None:
    setattr(gateway.queue, moment, (grpc.StatusCode.RESOURCE_EXHAUSTED, DETAILS, trailing))
    async with gateway.client() as client, upload(client) as response:
        assert response.status == status
        assert ("Retry-After" in response.headers) == (status == 429)
        assert (await response.json(content_type=None))["detail"] == DETAILS


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_queue_that_does_not_answer_is_504(
    start: Start, queue: FakeQueue, method: str, path: str
) -> None:
    gateway = await start(call_seconds=0.2, idle_seconds=0.2)
    queue.answering.clear()
    async with gateway.client() as client, client.request(method, path) as response:
        assert response.status == 504


async def test_an_upload_does_not_wait_long_for_a_queue_that_hangs(
    start: Start, queue: FakeQueue
) -> None:
    """The next bytes of a transfer may take longer than the first answer."""
    gateway = await start(call_seconds=0.2, idle_seconds=600)
    queue.answering.clear()
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 504
    assert queue.stored == []


async def test_a_queue_that_is_not_serving_is_503(gateway: Gateway) -> None:
    gateway.queue.health = 2  # NOT_SERVING
    async with gateway.client() as client, client.get("/healthz") as response:
        assert response.status == 503
        assert "Retry-After" in response.headers
