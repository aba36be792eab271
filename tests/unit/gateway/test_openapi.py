"""openapi.json says what the application does, no more and no less."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

import gateway
from gateway.errors import RequestError
from gateway.policy import ALLOWED
from gateway.videos.routes import ROUTES
from gateway.videos.uploads import FIELDS, FILE
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.fake_queue import VIDEO_ID, make_video
from tests.unit.gateway.test_problems import kinds_of
from tests.unit.gateway.test_upload_video import upload
from video_queue.domain.videos import _JOINERS, _REFUSED_CATEGORIES
from videoqueue_api.v1 import video_queue_pb2 as api

DOCUMENT: dict[str, Any] = json.loads(
    Path(gateway.__path__[0], "videos/openapi.json").read_text(encoding="utf-8")
)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return what `node` refers to, or itself."""
    if "$ref" not in node:
        return node
    target = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return target


def described(method: str, path: str, status: int) -> dict[str, Any]:
    """Return what the document says about a response."""
    return resolved(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])


async def check(response: aiohttp.ClientResponse, path: str) -> None:
    """Hold a real response against the document: its status, its media type and its JSON."""
    said = described(response.method, path, response.status)
    assert all(name in response.headers for name in said.get("headers", {}))
    if "content" not in said:
        assert await response.read() == b""
        return
    schema = said["content"][response.content_type]["schema"]
    validator = OAS31Validator(
        {"components": DOCUMENT["components"], **schema},
        format_checker=OAS31Validator.FORMAT_CHECKER,
    )
    validator.validate(json.loads(await response.read()))


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_it_describes_every_route_and_nothing_else() -> None:
    described = {f"{method} {path}" for method, path, _ in operations()}
    frame = {"GET /healthz", "GET /audit/refusals", "GET /audit/policy"}
    assert described == {f"{route.method} {route.path}" for route in ROUTES} | frame
    assert described == set(ALLOWED)


def test_it_describes_every_status_of_an_error() -> None:
    described = {status for _, _, operation in operations() for status in operation["responses"]}
    assert {str(kind.status.value) for kind in kinds_of(RequestError)} <= described


def test_it_describes_the_form_that_is_taken() -> None:
    body = DOCUMENT["paths"]["/videos"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert list(body["schema"]["properties"]) == [*FIELDS, FILE]


async def test_it_is_served(gateway: Gateway) -> None:
    async with gateway.client("client/viewer") as client, client.get("/openapi.json") as response:
        assert response.status == 200
        assert await response.json() == DOCUMENT


async def test_an_upload_is_answered_as_described(gateway: Gateway) -> None:
    async with gateway.client() as client, upload(client) as response:
        assert response.status == 201
        await check(response, "/videos")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/videos", 200), ("/videos/{id}", 200), ("/healthz", 200), ("/openapi.json", 200)],
)
async def test_json_is_as_described(gateway: Gateway, path: str, status: int) -> None:
    gateway.queue.video = make_video(
        status=api.VIDEO_STATUS_FAILED,
        failure_reason="no pictures",
        renditions=[
            api.Rendition(
                name="360p",
                content_type="video/mp4",
                size_bytes=1,
                sha256=bytes(32),
                width=2,
                height=2,
            )
        ],
    )
    async with (
        gateway.client() as client,
        client.get(path.format(id=VIDEO_ID, name="360p")) as response,
    ):
        assert response.status == status
        await check(response, path)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Range": "bytes=0-1"}, 206), ({"If-None-Match": "*"}, 304)],
)
async def test_the_source_has_the_headers_described(
    gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    path = "/videos/{id}/source"
    async with (
        gateway.client() as client,
        client.get(path.format(id=VIDEO_ID, name="360p"), headers=headers) as response,
    ):
        assert response.status == status
        assert all(name in response.headers for name in described("GET", path, status)["headers"])


CODES = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        (method, path, code)
        for method, path, operation in operations()
        for code, status in CODES.items()
        if str(status) in operation["responses"] and method != "POST"
        if not path.startswith("/audit/")  # which asks the queue nothing
    ],
)
async def test_a_problem_is_as_described(
    gateway: Gateway, method: str, path: str, code: grpc.StatusCode
) -> None:
    gateway.queue.fail = (code, "what to do")
    async with (
        gateway.client() as client,
        client.request(method, path.format(id=VIDEO_ID, name="360p")) as response,
    ):
        assert response.status == CODES[code]
        await check(response, path)


async def test_a_range_that_cannot_be_satisfied_is_answered_as_described(gateway: Gateway) -> None:
    path = "/videos/{id}/source"
    headers = {"Range": "bytes=15-"}
    async with (
        gateway.client() as client,
        client.get(path.format(id=VIDEO_ID, name="360p"), headers=headers) as response,
    ):
        assert response.status == 416
        await check(response, path)


async def test_a_refusal_is_as_described(gateway: Gateway) -> None:
    for method, path, _ in operations():
        if path != "/healthz" and not path.startswith("/audit/"):
            async with (
                gateway.client("probe") as client,
                client.request(method, path.format(id=VIDEO_ID, name="360p")) as response,
            ):
                assert response.status == 403
                await check(response, path)


def test_it_names_the_characters_that_a_title_may_not_have() -> None:
    """As the queue refuses them, which the gateway passes on."""
    post = DOCUMENT["paths"]["/videos"]["post"]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    rule = form["title"]["description"]
    assert set(re.findall(r"\b[CZ][a-z]\b", rule)) == _REFUSED_CATEGORIES
    assert {chr(int(code, 16)) for code in re.findall(r"U\+([0-9A-F]{4})", rule)} == _JOINERS
