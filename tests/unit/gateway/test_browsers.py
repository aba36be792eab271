"""A browser sends its certificate with whatever any web page makes it send."""

import pytest

from tests.unit.gateway.conftest import Gateway, Recorder
from tests.unit.gateway.fake_queue import VIDEO_ID, FakeQueue
from tests.unit.gateway.forms import file_part, form
from tests.unit.gateway.raw_client import RawClient

HOST = "gateway.example:8443"
OURS = f"https://{HOST}"
FROM_ELSEWHERE = [
    ["Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: same-site"],
    ["Sec-Fetch-Site: cross-site", f"Origin: {OURS}"],
    ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"],
    ["Origin: null"],
    ["Origin: https://evil.example"],
    [f"Origin: http://{HOST}"],
    ["Origin: https://gateway.example"],
    [f"Origin: {OURS}", "Origin: null"],
    ["Origin:"],
]
FROM_HERE = [
    [],  # curl, and every program that is no browser
    ["Sec-Fetch-Site: same-origin", f"Origin: {OURS}"],
    ["Sec-Fetch-Site: none"],  # typed into the address bar
    [f"Origin: {OURS}"],
    [f"Origin: {OURS.upper()}"],
]
BODY = form(file_part(b"moving pictures"))
FORM = BODY.partition(b"\r\n")[0].removeprefix(b"--").decode()


async def answered(gateway: Gateway, action: str, headers: list[str]) -> tuple[int, str]:
    """Return the status of a request with these headers, and the rest of the response."""
    lines = [f"{action} HTTP/1.1", f"Host: {HOST}", "Connection: close", *headers]
    body = b""
    if action.startswith("POST"):
        body = BODY
        lines.append(f"Content-Type: multipart/form-data; boundary={FORM}")
        lines.append(f"Content-Length: {len(body)}")
    async with RawClient.to(gateway) as client:
        client.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = await client.head()
        return int(head.split(" ", 2)[1]), head + (await client.reader.read()).decode()


CHANGES = ["POST /videos", f"DELETE /videos/{VIDEO_ID}"]


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
@pytest.mark.parametrize("action", CHANGES)
async def test_a_page_of_another_site_changes_nothing(
    gateway: Gateway,
    queue: FakeQueue,
    recorder: Recorder,
    action: str,
    headers: list[str],
) -> None:
    status, response = await answered(gateway, action, headers)
    assert status == 403
    assert '"reason":"cross_site"' in response
    assert queue.calls == []
    route = action.replace(VIDEO_ID, "{id}")
    assert recorder.events == [
        ("denied", "http", route, "cross_site"),
        ("finished", "http", route, "client/uploader", "403"),
    ]


@pytest.mark.parametrize("headers", FROM_HERE)
@pytest.mark.parametrize("action", CHANGES)
async def test_a_page_of_ours_and_a_program_do(
    gateway: Gateway, queue: FakeQueue, action: str, headers: list[str]
) -> None:
    status, _ = await answered(gateway, action, headers)
    assert status in {201, 204}
    assert len(queue.calls) == 1


@pytest.mark.parametrize("headers", FROM_ELSEWHERE)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_changes_nothing_may_be_linked_to(
    gateway: Gateway, method: str, headers: list[str]
) -> None:
    assert (await answered(gateway, f"{method} /videos", headers))[0] == 200


SAFE = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def headers_in(response: str) -> dict[str, str]:
    head, _, _ = response.partition("\r\n\r\n")
    return {
        name.lower(): value for name, _, value in (x.partition(": ") for x in head.split("\r\n"))
    }


@pytest.mark.parametrize(
    ("action", "headers", "status"),
    [
        ("GET /videos", [], 200),
        (f"GET /videos/{VIDEO_ID}/source", [], 200),
        (f"GET /videos/{VIDEO_ID}/source", ["Range: bytes=0-5"], 206),
        (f"GET /videos/{VIDEO_ID}/source", ["If-None-Match: *"], 304),
        ("POST /videos", [], 201),
        ("POST /videos", ["Origin: null"], 403),
        (f"DELETE /videos/{VIDEO_ID}", [], 204),
        ("GET /videos/not.an.id", [], 404),
        ("GET /no-such-route", [], 404),
        ("PUT /videos", [], 405),
        ("GET /" + "a" * 9000, [], 414),
        ("GET /videos", ["X: " + "a" * 9000], 431),
        ("GET /videos", ["X: a"] * 100, 431),
        ("GET /videos", ["Content-Length: many"], 400),
        ("GET /videos", ["Expect: tea"], 417),
        ("G@T /videos", [], 400),
    ],
)
async def test_every_response_keeps_a_browser_from_running_it_and_names_no_software(
    gateway: Gateway, action: str, headers: list[str], status: int
) -> None:
    answer = await answered(gateway, action, headers)
    assert answer[0] == status
    found = headers_in(answer[1])
    assert {name: found.get(name) for name in SAFE} == SAFE
    assert "server" not in found
    if status >= 400 and status != 417:  # which is aiohttp's own
        assert found["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /" + "a" * 9000, [], 414),
        ("GET /videos", ["X: " + "a" * 9000], 431),
        ("GET /videos", ["X: a"] * 100, 431),
        ("G@T /videos", [], 400),
    ],
)
async def test_what_is_no_request_leaves_no_traceback(
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    recorder: Recorder,
    request_line: str,
    headers: list[str],
    status: int,
) -> None:
    assert (await answered(gateway, request_line, headers))[0] == status
    assert caplog.records == []
    assert [event[:3] for event in recorder.events] == [("malformed", "http", str(status))]


@pytest.mark.parametrize(
    ("action", "allow"),
    [
        ("PUT /videos", "GET, HEAD, POST"),
        ("OPTIONS /videos", "GET, HEAD, POST"),
        (f"PATCH /videos/{VIDEO_ID}", "DELETE, GET, HEAD"),
        ("DELETE /healthz", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_with_those_there_are(
    gateway: Gateway, action: str, allow: str
) -> None:
    status, response = await answered(gateway, action, [])
    assert status == 405
    assert headers_in(response)["allow"] == allow


@pytest.mark.parametrize("path", ["/videos/", "/no-such-route", "//videos", "/"])
async def test_an_unknown_path_is_404_for_peers_that_are_served_and_403_for_others(
    gateway: Gateway, path: str
) -> None:
    for name, status in (("client/viewer", 404), ("probe", 404), ("transcoder", 403)):
        async with RawClient.to(gateway, name) as client:
            client.writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
            assert await client.status() == status
