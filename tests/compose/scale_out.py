"""PostgreSQL, an object store, three queues, two gateways and three transcoders, all by mutual TLS.

The images of the two stores are stand-ins, made of Debian's PostgreSQL and of SeaweedFS built from
its source, since a test cannot count on a registry (stand_ins/compose.yml). It takes minutes, so
scripts/test_scale_out runs it, and scripts/test does not: there tests/mtls has the same services as
processes, and test_scale_out.py reads the files.
"""

import shutil
from collections.abc import Iterator
from typing import Any, Final

import docker
import pytest
from docker.errors import ImageNotFound

from tests.checkout import ROOT
from tests.compose.conftest import new_name, running_project
from tests.compose.project import Project
from tests.compose.waiting import wait_for
from tests.making_videos import FRAMES_PER_SECOND, Clip, write_clip
from tests.needs import require_seaweedfs

CHANGES: Final = ("deploy/scale-out.yml", "tests/compose/stand_ins/compose.yml")
REPLICAS: Final = {"video-queue": 3, "gateway": 2, "transcoder": 3}
INSIDE: Final = ROOT / "tests" / "compose" / "inside" / "reach_stores.py"
IMAGES: Final = ("video-queue-scale-out", "database", "seaweedfs")


@pytest.fixture(scope="module")
def project(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    weed = require_seaweedfs()
    project = Project(new_name(), tmp_path_factory.mktemp("checkout"), engine, changes=CHANGES)
    stand_ins = project.folder / "tests" / "compose" / "stand_ins"
    stand_ins.mkdir(parents=True)
    shutil.copy(weed, stand_ins / "weed")
    try:
        with running_project(project):
            yield project
            project.compose("kill")  # or each would take its time to end in order
    finally:
        for name in IMAGES:
            remove_image(engine, f"{project.name}-{name}")


def remove_image(engine: docker.DockerClient, name: str) -> None:
    """Compose leaves images that have a name of their own."""
    try:
        engine.images.remove(name, force=True)
    except ImageNotFound:
        return


@pytest.mark.parametrize("service", REPLICAS)
def test_so_many_run_and_are_healthy(project: Project, service: str) -> None:
    states = [each.attrs["State"] for each in project.replicas(service)]
    assert [state["Health"]["Status"] for state in states] == ["healthy"] * REPLICAS[service]


@pytest.mark.parametrize("service", ["database", "object-store", "video-queue"])
def test_a_container_has_no_right_that_it_does_not_need(project: Project, service: str) -> None:
    for container in project.replicas(service):
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert container.attrs["Config"]["User"] == "10001:10001"
        assert not host["PortBindings"]


def test_the_stores_are_in_a_network_of_their_own(project: Project) -> None:
    networks = {
        service: set(project.container(service).attrs["NetworkSettings"]["Networks"])
        for service in ("database", "object-store", "video-queue", "gateway", "transcoder")
    }
    storage, backend = project.network("storage"), project.network("backend")
    assert networks["database"] == networks["object-store"] == {storage}
    assert networks["video-queue"] == {storage, backend}
    assert storage not in networks["gateway"] | networks["transcoder"]


@pytest.fixture(scope="module")
def video(project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A video that was uploaded through a gateway, after the work on it has ended."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    times = tuple(n / FRAMES_PER_SECOND for n in range(FRAMES_PER_SECOND))
    write_clip(path, Clip(size=(640, 360), times=times, sound_lasts=1))
    video_id = project.upload("a clip", path.read_bytes())

    def ended() -> dict[str, Any] | None:
        video: dict[str, Any] = project.request("GET", f"/videos/{video_id}").json
        return video if video["status"] in {"completed", "failed"} else None

    return {**wait_for(ended, "the end of the work", seconds=120), "bytes": path.read_bytes()}


def test_an_uploaded_video_is_completed(project: Project, video: dict[str, Any]) -> None:
    assert video["status"] == "completed", video["failure_reason"]
    assert project.source(video["id"]) == video["bytes"]


def test_what_was_acknowledged_outlives_the_stores(project: Project, video: dict[str, Any]) -> None:
    """Both are killed; the queues go on when they are back."""
    for service in ("database", "object-store"):
        project.container(service).kill()
        project.container(service).start()

    def source() -> bytes | None:
        answer = project.request("GET", f"/videos/{video['id']}/source")
        return answer.body if answer.status == 200 else None

    assert wait_for(source, "the video") == video["bytes"]


def reach_stores(project: Project, identity: str, *, key: bool = False) -> dict[str, str]:
    """Return what the stores answer to a container in their network, which is no queue of ours."""
    volumes = {
        str(INSIDE): {"bind": "/reach_stores.py", "mode": "ro"},
        str(project.certificates("probe") / "ca-certificate.crt"): {
            "bind": "/ca/ca-certificate.crt",
            "mode": "ro",
        },
    }
    if identity != "none":
        volumes[str(project.certificates(identity))] = {"bind": "/identity", "mode": "ro"}
    if key:
        volumes[f"{project.name}_bucket-key"] = {"bind": "/key", "mode": "ro"}
    output = project.engine.containers.run(
        f"{project.name}-video-queue-scale-out",
        ["/reach_stores.py", "none" if identity == "none" else "/identity", *(["/key"] * key)],
        entrypoint="python",
        network=project.network("storage"),
        volumes=volumes,
        remove=True,
    )
    lines = (line.partition(": ") for line in output.decode().splitlines())
    return {store: answer for store, _, answer in lines}


def test_the_stores_serve_the_queue_and_refuse_impostors(project: Project) -> None:
    """They differ in one fact: no certificate, another's certificate; and the bucket's key."""
    served = reach_stores(project, "video-queue", key=True)
    assert served == {"database": "I am ('video_queue',)", "object-store": "listed"}

    positions = {name: project.log_position(name) for name in ("database", "object-store")}
    stranger = reach_stores(project, "none", key=True)
    assert "connection requires a valid client certificate" in stranger["database"]
    assert stranger["object-store"].startswith(("SSLError", "ConnectionClosedError"))
    log = log_since(project, "object-store", positions["object-store"])
    assert "client didn't provide a certificate" in log

    positions = {name: project.log_position(name) for name in ("database", "object-store")}
    other = reach_stores(project, "transcoder")
    assert "certificate authentication failed" in other["database"]
    log = log_since(project, "database", positions["database"])
    assert "CN=transcoder" in log or "no match in usermap" in log
    assert other["object-store"] == "AccessDenied"


def log_since(project: Project, service: str, position: int) -> str:
    return str(project.container(service).logs()[position:].decode("utf-8", "replace"))


def test_images_carry_no_driver_that_they_do_not_use(project: Project) -> None:
    """Only the queue's image of this file has one; that of docker-compose.yml is another."""
    names = {"aiobotocore", "botocore", "psycopg", "psycopg_binary"}
    assert names <= packages(project, "video-queue")
    for service in ("gateway", "transcoder", "console"):
        assert not names & packages(project, service)
    usual = (ROOT / "requirements" / "video-queue.txt").read_text()
    assert not [name for name in names if f"\n{name}==" in usual]


def packages(project: Project, service: str) -> set[str]:
    image = project.container(service).image
    assert image
    listing = "import os, sys; print(*os.listdir(sys.path[-1]))"
    output = project.engine.containers.run(image, ["-c", listing], entrypoint="python", remove=True)
    return set(output.decode().split())
