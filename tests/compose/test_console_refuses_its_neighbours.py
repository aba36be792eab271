"""A container that reaches the console's port does not act as `console`: it lacks the token."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.compose.neighbour import Neighbour, neighbour
from tests.compose.programs import program, run
from tests.compose.project import Project


@pytest.fixture(scope="module", params=["backend", "edge"])
def beside(project: Project, request: pytest.FixtureRequest) -> Iterator[Neighbour]:
    with neighbour(project, request.param) as container:
        yield container


def opening(project: Project) -> str:
    """Return the address that the console has printed as the last line of its start."""
    lines = project.container("console").logs(stderr=False).decode().splitlines()
    return [line for line in lines if line.startswith("Open ")][-1].removeprefix("Open ")


def fetch(beside: Neighbour, path: str, **headers: str) -> dict[str, Any]:
    told = json.dumps(headers)
    answer = run(beside.container, *program("fetch.py", "console", "8080", path, told))
    assert answer.exit_code == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.output)
    return found


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/videos", "/?token=guessed"])
def test_without_the_token_it_gets_nothing(beside: Neighbour, path: str) -> None:
    assert fetch(beside, path)["status"] == 403  # its Host is console:8080
    answer = fetch(beside, path, Host="localhost:8080")
    assert answer["status"] == 401
    assert answer["body"].startswith("This console answers only to who has its token.")
    assert "set-cookie" not in answer["headers"]


def test_with_the_token_the_same_neighbour_is_answered(project: Project, beside: Neighbour) -> None:
    """It is the token that keeps it out: so nothing but the engine's log may hold it."""
    path = f"/?{urlsplit(opening(project)).query}"
    answer = fetch(beside, path, Host="localhost:8080")
    assert answer["status"] == 303
    cookie = answer["headers"]["set-cookie"].partition(";")[0]
    status = fetch(beside, "/api/status", Host="localhost:8080", Cookie=cookie)
    assert status["status"] == 200
    seen = json.loads(status["body"])
    assert seen["identity"] == "spiffe://video-demo.test/console"
    assert all(server["accepted"] for server in seen["servers"])


def test_a_start_prints_the_address_to_open_once_and_logs_the_token_nowhere(
    project: Project,
) -> None:
    address = opening(project)
    assert address.startswith("http://localhost:")
    token = address.partition("token=")[2]
    lines = project.container("console").logs().decode().splitlines()
    assert [line for line in lines if token in line] == [f"Open {address}"]
