"""An image holds what its service imports: no other service, no test, no tool."""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.compose.project import Project

CODE: Final[Mapping[str, set[str]]] = {
    "certs": {"bootstrap_certs.py", "pki"},
    "video-queue": {"mtls", "runtime", "video_queue", "audit_api", "videoqueue_api"},
    "gateway": {"mtls", "runtime", "gateway", "videoqueue_client", "videoqueue_api"},
    "console": {"mtls", "runtime", "doctor", "console", "audit_api"},
    "transcoder": {"mtls", "runtime", "transcoder", "videoqueue_client", "videoqueue_api"},
}


@pytest.mark.parametrize("service", CODE)
def test_image_holds_the_code_of_one_service(project: Project, service: str) -> None:
    image = project.container(service).image
    assert image
    listing = project.engine.containers.run(image, ["/app"], entrypoint="ls", remove=True)
    assert set(listing.decode().split()) - {"__pycache__"} == CODE[service]
