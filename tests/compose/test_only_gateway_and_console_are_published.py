"""From outside there are two ways in: gateway and console, at this machine's loopback address.

Not claimed: that the machine itself cannot send packets to the queue. On Linux it owns the bridge
that the containers are attached to, and so it can; there, mutual TLS is what refuses.
"""

import socket
from collections.abc import Iterator

import docker
import pytest

from tests.compose.neighbour import Neighbour, neighbour
from tests.compose.programs import program, run
from tests.compose.project import Project


@pytest.fixture
def neighbour_of_gateway(project: Project) -> Iterator[Neighbour]:
    with neighbour(project, "edge") as container:
        yield container


def addresses_of_this_machine() -> set[str]:
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    return found | {"127.0.0.1", "::1"}


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=3).close()
    except OSError:
        return False
    return True


def test_only_gateway_and_console_have_a_published_port_and_only_on_loopback(
    project: Project,
) -> None:
    published = {
        (service, binding["HostIp"])
        for service, container in project.containers().items()
        for bindings in container.ports.values()
        for binding in bindings or ()
    }
    assert published == {("gateway", "127.0.0.1"), ("console", "127.0.0.1")}


def test_queue_does_not_answer_at_any_address_of_this_machine(project: Project) -> None:
    assert answers("127.0.0.1", project.port)
    assert not {a for a in addresses_of_this_machine() if answers(a, 50051)}


def test_queue_is_out_of_reach_for_a_container_that_reaches_the_gateway(
    project: Project, neighbour_of_gateway: Neighbour
) -> None:
    def reaches(address: str, port: str) -> bool:
        connection = run(neighbour_of_gateway.container, *program("connect.py", address, port))
        return connection.exit_code == 0

    assert reaches("gateway", "8443")
    assert not reaches(project.address("video-queue", "backend"), "50051")
    assert not reaches("video-queue", "50051")


@pytest.mark.parametrize("service", ["video-queue", "transcoder"])
def test_it_is_on_an_internal_network_only(
    project: Project, engine: docker.DockerClient, service: str
) -> None:
    networks = project.container(service).attrs["NetworkSettings"]["Networks"]
    assert set(networks) == {project.network("backend")}
    assert engine.networks.get(project.network("backend")).attrs["Internal"]
    assert not engine.networks.get(project.network("edge")).attrs["Internal"]
