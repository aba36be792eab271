"""The health check is a call like any other: mutual TLS, as the identity `probe`."""

from typing import Final

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from tests.compose.neighbour import Neighbour
from tests.compose.programs import Answer, run
from tests.compose.project import Project

URLS: Final = {
    "video-queue": "grpc://video-queue:50051",
    "gateway": "https://gateway:8443/healthz",
}


def check(neighbour: Neighbour, service: str, identity: str) -> Answer:
    command = ["python", "-m", "runtime.healthcheck", URLS[service], "--identity", identity]
    return run(neighbour.container, *command)


@pytest.mark.parametrize("service", URLS)
def test_passes_as_probe_and_fails_with_a_certificate_of_another_ca(
    project: Project, neighbour_of_queue: Neighbour, service: str
) -> None:
    files, other = project.certificate_files("probe"), Authority.create(IDENTITIES)
    issued = other.issue(identity_named("probe"))
    # It trusts both CAs, so that it is the service that refuses, not the health check.
    both = files["ca-certificate.crt"] + other.ca_pem
    genuine = neighbour_of_queue.give("probe", files["key-pair.pem"], both)
    forged = neighbour_of_queue.give("forged-probe", issued.key_pair_pem, both)

    assert check(neighbour_of_queue, service, genuine).exit_code == 0

    since = project.log_position(service)
    assert check(neighbour_of_queue, service, forged).exit_code == 1
    project.wait_for_event(service, since, event="handshake.refused", reason="unknown_ca")
