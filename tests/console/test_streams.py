"""Files pass through the console and are never held in it. It may do what `console` may."""

import asyncio
import http.client
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest

from tests.console.system import System

MEGABYTE: Final = 1024**2
FILE_BYTES: Final = 96 * MEGABYTE
# 80 in the image; here structlog also imports rich, which the image does not have: 6 MiB.
MAX_MEMORY_BYTES: Final = (80 + 6) * MEGABYTE


@pytest.fixture(scope="module", autouse=True)
def fresh(system: System) -> None:
    """A console that has not yet done anything else: what it holds is what is measured."""
    system.console.stop()
    system.start_console_again()


def peak_memory_bytes(system: System) -> int:
    """Return the most that the console's process has ever held (VmHWM in proc(5))."""
    status = Path(f"/proc/{system.console.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@contextmanager
def connected(system: System) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("localhost", system.port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def headers(system: System, **more: str) -> dict[str, str]:
    origin = f"http://localhost:{system.port}"
    return {"Cookie": system.cookie(), "Origin": origin, **more}


def parts_of(title: str, size: int) -> tuple[str, int, Iterator[bytes]]:
    """Return a form's media type, its length, and its content piece by piece."""
    boundary = uuid.uuid4().hex
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    begin = (
        f'{part}"title"\r\n\r\n{title}\r\n'
        f'{part}"file"; filename="video.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    ).encode()
    end = f"\r\n--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield begin
        piece = os.urandom(MEGABYTE)
        for _ in range(size // MEGABYTE):
            yield piece
        yield end

    return f"multipart/form-data; boundary={boundary}", len(begin) + size + len(end), pieces()


def uploaded(system: System, title: str, size: int) -> dict[str, Any]:
    media_type, length, pieces = parts_of(title, size)
    sent = headers(system, **{"Content-Type": media_type, "Content-Length": str(length)})
    with connected(system) as connection:
        connection.request("POST", "/api/videos", pieces, sent)
        response = connection.getresponse()
        content: dict[str, Any] = orjson.loads(response.read())
        assert response.status == 201, content
        return content


def titles(system: System) -> set[str]:
    answer = system.ask("GET", "/api/videos", Cookie=system.cookie())
    return {video["title"] for video in orjson.loads(answer.body)["videos"]}


def test_a_large_file_goes_in_and_out_and_is_never_held(system: System) -> None:
    video = uploaded(system, "large", FILE_BYTES)
    assert video["size_bytes"] == FILE_BYTES
    assert video["owner"] == "spiffe://video-demo.test/console"
    with connected(system) as connection:
        connection.request("GET", f"/api/videos/{video['id']}/source", headers=headers(system))
        response = connection.getresponse()
        received = 0
        while chunk := response.read(MEGABYTE):
            received += len(chunk)
    assert received == FILE_BYTES
    assert peak_memory_bytes(system) < MAX_MEMORY_BYTES


def test_a_browser_that_takes_nothing_fills_no_memory(system: System) -> None:
    video = uploaded(system, "slow", FILE_BYTES)
    with connected(system) as connection:
        connection.request("GET", f"/api/videos/{video['id']}/source", headers=headers(system))
        response = connection.getresponse()
        response.read(1)
        assert system.ask("GET", "/api/videos", Cookie=system.cookie()).status == 200
        assert peak_memory_bytes(system) < MAX_MEMORY_BYTES


def test_ranges_and_tags_pass_through(system: System) -> None:
    video = uploaded(system, "ranges", MEGABYTE)
    path = f"/api/videos/{video['id']}/source"
    whole = system.ask("GET", path, Cookie=system.cookie())
    assert whole.headers["accept-ranges"] == "bytes"
    part = system.ask("GET", path, Cookie=system.cookie(), Range="bytes=1000-1999")
    assert part.status == 206
    assert part.body == whole.body[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{MEGABYTE}"
    known = system.ask("GET", path, Cookie=system.cookie(), If_None_Match=whole.headers["etag"])
    assert (known.status, known.body) == (304, b"")
    beyond = system.ask("GET", path, Cookie=system.cookie(), Range="bytes=9999999-")
    assert beyond.status == 416


def test_an_upload_that_breaks_off_leaves_nothing(system: System) -> None:
    media_type, length, pieces = parts_of("broken off", 8 * MEGABYTE)
    sent = headers(system, **{"Content-Type": media_type, "Content-Length": str(length)})
    with connected(system) as connection:
        connection.putrequest("POST", "/api/videos")
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(next(pieces))
        connection.send(next(pieces))
    uploaded(system, "whole", MEGABYTE)
    assert "whole" in titles(system)
    assert "broken off" not in titles(system)


def test_what_the_gateway_refuses_comes_through_with_its_reason(system: System) -> None:
    answer = system.ask(
        "POST",
        "/api/videos",
        b"{}",
        Cookie=system.cookie(),
        Origin=f"http://localhost:{system.port}",
        Content_Type="application/json",
    )
    assert answer.status == 415
    assert orjson.loads(answer.body)["title"] == "Unsupported Media Type"


@pytest.mark.parametrize(
    "path",
    [
        "/api/healthz",
        "/api/openapi.json",
        "/api/videos/../healthz",
        "/api/videos/%2e%2e/healthz",
        "/api/videos/a%2fb",
        "/static/app.js",
        "/../config.py",
        "/views/%2e%2e/%2e%2e/config.py",
        "/console/config.py",
    ],
)
def test_there_is_no_path_to_anything_else(system: System, path: str) -> None:
    """Only what a view needs is passed on, and only what is a file of the page is served."""
    since = system.gateway.log.position()
    assert system.ask("GET", path, Cookie=system.cookie()).status == 404
    assert not system.gateway.log.events(since)


def test_another_owners_video_is_not_deleted(system: System) -> None:
    """The console asks, and the queue says no: it may do what `console` may, and nothing more."""

    async def upload_as_uploader() -> str:
        async with system.stack.session("client/uploader", system.gateway) as session:
            form = aiohttp.FormData({"title": "of somebody else"})
            form.add_field("file", b"x", filename="x.mp4", content_type="video/mp4")
            async with session.post("/videos", data=form) as response:
                return str((await response.json())["id"])

    video_id = asyncio.run(upload_as_uploader())
    answer = system.ask(
        "DELETE",
        f"/api/videos/{video_id}",
        Cookie=system.cookie(),
        Origin=f"http://localhost:{system.port}",
    )
    assert answer.status == 403
    assert "of somebody else" in titles(system)


def test_the_gateway_is_away_and_the_console_says_what_it_tried(system: System) -> None:
    system.gateway.kill()
    try:
        answer = system.ask("GET", "/api/videos", Cookie=system.cookie())
        problem = orjson.loads(answer.body)
        assert answer.status == 502
        assert problem["detail"].endswith("does not answer: Connection refused.")
        assert problem["fix"] == "Start the server, or correct the port."
        assert "GET https://localhost:" in problem["tried"]
        status = orjson.loads(system.ask("GET", "/api/status", Cookie=system.cookie()).body)
        assert [each["accepted"] for each in status["servers"]] == [False, True]
    finally:
        system.start_gateway_again()
    assert system.ask("GET", "/api/videos", Cookie=system.cookie()).status == 200
