"""One stack for all claims about it: up before the first, gone with its volumes after the last."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests.checkout import copy_checkout
from tests.compose.fragile import fragile_project
from tests.compose.neighbour import Neighbour, neighbour
from tests.compose.project import Project
from tests.needs import engine_address


def pytest_runtest_setup() -> None:
    """Skip here, not in a fixture: so pytest reports one line, and not one for each test."""
    if engine_address() is None:
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end("No Docker engine with Compose v2 answers, so the containers are not tested.")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine_address())
    yield client
    client.close()


@contextmanager
def running_project(project: Project) -> Iterator[Project]:
    """Copy the checkout, bring it up, and leave nothing of it behind."""
    copy_checkout(project.folder)
    try:
        project.up()
        yield project
    finally:
        project.compose("down", "--volumes", "--rmi", "local", "--remove-orphans")


def new_name() -> str:
    return f"video-demo-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def project(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    with running_project(
        Project(new_name(), tmp_path_factory.mktemp("checkout"), engine)
    ) as project:
        yield project


@pytest.fixture
def readers_project(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Project]:
    """A stack as README.md has it, with logs for people."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    with running_project(Project(new_name(), folder, engine, log_format="console")) as project:
        yield project


@pytest.fixture(scope="session")
def fragile(project: Project) -> Iterator[Project]:
    """A second stack, of the same images and certificates, which may be broken in any way."""
    with fragile_project(Project(new_name(), project.folder, project.engine), project) as fragile:
        yield fragile


@pytest.fixture(scope="module")
def neighbour_of_queue(project: Project) -> Iterator[Neighbour]:
    with neighbour(project, "backend") as container:
        yield container
