"""Being on the services' own network earns nobody an answer: only a certificate does."""

import uuid
from collections.abc import Mapping
from typing import Final

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from tests.compose.neighbour import Neighbour
from tests.compose.project import SERVERS, Project

# Whom each service lets upload.
CLIENTS: Final[Mapping[str, str]] = {"video-queue": "gateway", "gateway": "client/uploader"}


@pytest.fixture
def title() -> str:
    return f"video {uuid.uuid4()}"


@pytest.fixture
def genuine(project: Project, neighbour_of_queue: Neighbour, service: str) -> str:
    files = project.certificate_files(CLIENTS[service])
    return neighbour_of_queue.give("genuine", files["key-pair.pem"], files["ca-certificate.crt"])


@pytest.fixture
def forged(project: Project, neighbour_of_queue: Neighbour, service: str) -> str:
    """The same names by another CA of the same name; it trusts the true one, to get that far."""
    issued = Authority.create(IDENTITIES).issue(identity_named(CLIENTS[service]))
    ca_pem = project.certificate_files("probe")["ca-certificate.crt"]
    return neighbour_of_queue.give("forged", issued.key_pair_pem, ca_pem)


@pytest.mark.parametrize("service", SERVERS)
def test_with_a_genuine_certificate_the_same_neighbour_is_served(
    project: Project, neighbour_of_queue: Neighbour, service: str, title: str, genuine: str
) -> None:
    accepted, text = neighbour_of_queue.upload(service, title, "certificate", genuine)
    assert accepted, text
    assert title in project.titles()


@pytest.mark.parametrize("service", SERVERS)
@pytest.mark.parametrize(
    ("how", "reason"), [("none", "no_certificate"), ("plaintext", "plaintext")]
)
def test_without_showing_a_certificate(
    project: Project,
    neighbour_of_queue: Neighbour,
    service: str,
    title: str,
    genuine: str,
    how: str,
    reason: str,
) -> None:
    since = project.log_position(service)
    accepted, _ = neighbour_of_queue.upload(service, title, how, genuine)
    assert not accepted
    project.wait_for_event(service, since, event="handshake.refused", reason=reason)
    assert title not in project.titles()


@pytest.mark.parametrize("service", SERVERS)
def test_with_a_certificate_of_another_ca_of_the_same_name(
    project: Project, neighbour_of_queue: Neighbour, service: str, title: str, forged: str
) -> None:
    since = project.log_position(service)
    accepted, _ = neighbour_of_queue.upload(service, title, "certificate", forged)
    assert not accepted
    project.wait_for_event(service, since, event="handshake.refused", reason="unknown_ca")
    assert title not in project.titles()
