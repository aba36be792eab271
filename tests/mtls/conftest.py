"""The real services, as processes of their own, once for all claims."""

from collections.abc import Iterator

import pytest

from local_stack import Service, Stack, running_stack
from tests.mtls.floodable import Floodable, running_floodable
from tests.mtls.rotating import Rotating, rotating_stack
from tests.mtls.servers import Server, gateway_server, queue_server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Service, Service]]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotating]:
    """Another stack: these tests change its certificates, and leave it with good ones."""
    with rotating_stack(tmp_path_factory.mktemp("rotating")) as rotating:
        yield rotating


@pytest.fixture(scope="session")
def floodable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floodable]:
    with running_floodable(tmp_path_factory.mktemp("floodable")) as floodable:
        yield floodable


@pytest.fixture(params=["video-queue", "gateway"])
def server(request: pytest.FixtureRequest, running: tuple[Stack, Service, Service]) -> Server:
    stack, queue, gateway = running
    if request.param == "gateway":
        return gateway_server(stack, gateway)
    return queue_server(stack, queue, gateway)
