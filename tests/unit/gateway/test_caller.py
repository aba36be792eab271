"""For whom a call is made: the name in the certificate, and nothing else that came from outside."""

import pytest

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.fake_queue import VIDEO_ID
from tests.unit.gateway.forms import BOUNDARY, file_part, form

FORGED = "spiffe://video-demo.test/client/uploader"
FORGED_HEADERS = {
    "On-Behalf-Of": FORGED,
    "on_behalf_of": FORGED,
    "Grpc-Metadata-On-Behalf-Of": FORGED,
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Client-Cert": f"URI={FORGED}",
    "Forwarded": "for=192.0.2.1",
    "Authorization": "Bearer forged",
    "TE": "trailers",
    "grpc-timeout": "1n",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
BODY = form(file_part(b"moving pictures"))
ROUTES = [
    ("GET", "/videos", "console", ["ListVideos"]),
    ("GET", f"/videos/{VIDEO_ID}", "client/viewer", ["GetVideo"]),
    ("GET", f"/videos/{VIDEO_ID}/events", "client/viewer", ["WatchVideo"]),
    ("GET", f"/videos/{VIDEO_ID}/source", "client/viewer", ["GetVideo", "Download"]),
    ("GET", "/healthz", "probe", ["Check"]),
    ("DELETE", f"/videos/{VIDEO_ID}", "console", ["DeleteVideo"]),
    ("POST", "/videos", "console", ["Upload"]),
]


@pytest.mark.parametrize(("method", "path", "name", "calls"), ROUTES)
@pytest.mark.parametrize("headers", [{}, FORGED_HEADERS], ids=["plain", "forged"])
async def test_every_call_is_made_for_the_name_in_the_certificate(
    gateway: Gateway, method: str, path: str, name: str, calls: list[str], headers: dict[str, str]
) -> None:
    form_header = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with (
        gateway.client(name) as client,
        client.request(
            method,
            path,
            headers=headers | (form_header if method == "POST" else {}),
            data=BODY if method == "POST" else None,
        ) as response,
    ):
        assert response.status < 300
    assert [call.method for call in gateway.queue.calls] == calls
    for call in gateway.queue.calls:
        assert call.metadata == (("on-behalf-of", f"spiffe://video-demo.test/{name}"),)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/videos", 403),
        ("DELETE", f"/videos/{VIDEO_ID}", 403),
        ("GET", "/admin", 404),
        ("PUT", "/videos", 405),
    ],
)
async def test_what_a_viewer_may_not_do_never_reaches_the_queue(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    async with (
        gateway.client("client/viewer") as client,
        client.request(method, path, headers=FORGED_HEADERS) as response,
    ):
        assert response.status == status
        assert response.content_type == "application/problem+json"
    assert gateway.queue.calls == []
