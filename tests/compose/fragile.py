"""A stack to break things in: it waits for seconds where docker-compose.yml has half a minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tests.compose.project import SERVERS, Answer, Project
from tests.compose.waiting import wait_for

CALL_SECONDS: Final = 3
IDLE_SECONDS: Final = 3
LEASE_SECONDS: Final = 3
DISK_MIB: Final = 160

_FILE: Final = "fragile.yml"
_CHANGES: Final = """
services:
  video-queue:
    image: {images}-video-queue
    environment:
      VIDEO_QUEUE_IDLE_SECONDS: {idle}
      VIDEO_QUEUE_LEASE_SECONDS: {lease}
      VIDEO_QUEUE_MAX_ATTEMPTS: 100
    healthcheck: {{ test: [CMD, "true"], interval: 1s }} # the others are started after it
  gateway:
    image: {images}-gateway
    environment:
      GATEWAY_CALL_SECONDS: {call}
      GATEWAY_IDLE_SECONDS: {idle}
    healthcheck: {{ disable: true }}
  transcoder:
    image: {images}-transcoder
    environment:
      TRANSCODER_RETRY_SECONDS: 1
    healthcheck: {{ disable: true }}
  # Another program on the same disk, which is a small one. It keeps the disk when the queue ends.
  other-program:
    image: {images}-gateway
    entrypoint: [python, -c, "import signal; signal.pause()"]
    user: "0"
    network_mode: none
    volumes: ["videos:/data"]
volumes:
  videos:
    driver_opts: {{ type: tmpfs, device: tmpfs, o: "size={disk}m,uid=10001,gid=10001,mode=0700" }}
"""


@contextmanager
def fragile_project(project: Project, whole: Project) -> Iterator[Project]:
    """Bring it up, of the images and certificates of the `whole` one, and clear it away."""
    (whole.folder / _FILE).write_text(
        _CHANGES.format(
            images=whole.name,
            call=CALL_SECONDS,
            idle=IDLE_SECONDS,
            lease=LEASE_SECONDS,
            disk=DISK_MIB,
        )
    )
    project = replace(project, changes=(_FILE,))
    try:
        project.compose("up", "--no-deps", "--detach", "other-program")
        project.compose("up", "--no-deps", "--detach", *SERVERS, "transcoder")
        for service in SERVERS:
            project.wait_for_event(service, 0, event="server.listening")
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout=1")


def cut_off(project: Project, service: str) -> None:
    """Take a service off the network to the others: nobody is told, as if a cable was pulled."""
    network = project.engine.networks.get(project.network("backend"))
    network.disconnect(project.container(service))


def join(project: Project, service: str) -> None:
    """Put it back, by its name and with whatever address there is."""
    network = project.engine.networks.get(project.network("backend"))
    network.connect(project.container(service), aliases=[service])


def until_served(project: Project) -> Answer:
    """Wait until the gateway lists videos: nothing was restarted for that but what was broken."""

    def served() -> Answer | None:
        answer = project.request("GET", "/videos")
        assert answer.status in {200, 503, 504}, answer
        return answer if answer.status == 200 else None

    return wait_for(served, "an answer of the queue")
