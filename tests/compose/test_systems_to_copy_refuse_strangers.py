"""A system of one's own refuses strangers: examples/greeter, and what docs/copy-it.md makes.

Each is brought up as its README.md says. The second has a service of each kind.
"""

import http.client
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
import pytest

from impostors import Impostor, tls_context
from pki.authority import Authority
from pki.identities import load_identities
from tests.compose.conftest import new_name
from tests.compose.logs import patient
from tests.compose.project import COMMAND_SECONDS, FREE_PORTS, Project
from tests.compose.waiting import wait_for
from tests.examples.clone import make_clone
from tests.examples.lent_venv import lend_venv
from tests.pages import Step, normalised, steps_of, type_into_one_shell

# The port is the engine's choice, so it is asked for it where the page has the usual one.
PORT: Final = "$(docker compose port front 8443 | cut -d: -f2)"
VARYING: Final = (
    (re.compile(r"OpenSSL SSL_read: .*(?=alert certificate required)"), ""),
    (re.compile(r", errno 0$", re.MULTILINE), ""),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A system that runs, and what each command of its README.md has printed."""

    project: Project
    services: frozenset[str]
    expected: list[Step]
    printed: list[str]


def greeter(home: Path) -> tuple[Path, frozenset[str]]:
    """Return the example, in a clone."""
    return make_clone(home).folder / "examples/greeter", frozenset({"greeter", "front"})


def new_system(home: Path) -> tuple[Path, frozenset[str]]:
    """Make a system, and add a worker to its two services."""
    clone, folder = make_clone(home), home / "hello"
    clone.succeed("scripts/new_system", str(folder), "--trust-domain", "hello.example")
    lend_venv(folder)
    worker = ("auditor", "--kind", "worker", "--calls", "greeter")
    clone.succeed("scripts/new_service", *worker, folder=folder)
    return folder, frozenset({"greeter", "front", "auditor"})


@pytest.fixture(scope="module", params=[greeter, new_system])
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine: docker.DockerClient,
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    folder, services = request.param(home)
    project = Project(new_name(), folder, engine, log_format="console")
    (home / ".curlrc").write_text("silent\nshow-error\n")  # as curl is at a terminal
    names = {"COMPOSE_PROJECT_NAME": project.name, "CURL_HOME": str(home)}
    steps = steps_of(folder / "README.md")
    assert len(steps) > 5
    try:
        printed = type_into_one_shell(
            (patient(step).replace("localhost:8443", f"localhost:{PORT}") for step in steps),
            folder=folder,
            environment={**os.environ, **FREE_PORTS, **names},
            seconds=COMMAND_SECONDS,
        )
        yield Running(project, services, steps, printed)
    finally:
        project.compose("down", "--volumes", "--rmi", "local", "--remove-orphans")


def test_its_readme_tells_the_truth(running: Running) -> None:
    """Alice is served; bob, who has no right, and alice without her certificate are not."""
    for step, output in zip(running.expected, running.printed, strict=True):
        assert normalised(output, VARYING) == normalised(step.output, VARYING), step.command


def test_its_worker_works(running: Running) -> None:
    """Its health check has passed: it gets through to the greeter, which lets it in."""
    if "auditor" in running.services:
        worker = running.project.container("auditor")
        wait_for(lambda: b"work.done" in worker.logs(), "a piece of work")
        assert b"Hello, auditor!" in worker.logs()


def test_a_certificate_of_another_ca_is_refused(running: Running) -> None:
    """It has the same names as alice's, which is served before and after."""
    project = running.project
    folder = project.certificates("client/alice")
    ca_pem = (folder / "ca-certificate.crt").read_bytes()
    other = Authority.create(identities := load_identities(project.folder / "identities.toml"))
    forged = Impostor("another CA", other.issue(identities.named("client/alice")))
    (binding,) = project.container("front").attrs["NetworkSettings"]["Ports"]["8443/tcp"]

    def say_hello(client: Impostor | None) -> bytes:
        context = tls_context(ca_pem, client or Impostor("alice", None))
        if client is None:
            context.load_cert_chain(folder / "key-pair.pem")
        connection = http.client.HTTPSConnection(
            "localhost", int(binding["HostPort"]), context=context, timeout=30
        )
        try:
            connection.request("GET", "/hello")
            return connection.getresponse().read()
        finally:
            connection.close()

    since = {service: project.log_position(service) for service in ("front", "greeter")}

    def log(service: str) -> list[bytes]:
        return project.container(service).logs()[since[service] :].splitlines()

    def calls(service: str) -> int:
        """Return how often its handler has run, but for the auditor, which calls by itself."""
        return sum(b"hello.called" in line and b"/auditor" not in line for line in log(service))

    assert say_hello(None).startswith(b"Hello, client/alice!")
    with pytest.raises(OSError, match="UNKNOWN_CA"):
        say_hello(forged)
    wait_for(lambda: any(b"reason=unknown_ca" in line for line in log("front")), "the reason")
    assert say_hello(None).startswith(b"Hello, client/alice!")
    wait_for(lambda: min(map(calls, since)) >= 2, "alice's calls")
    assert max(map(calls, since)) == 2


def test_its_containers_have_no_privileges(running: Running) -> None:
    containers = running.project.containers()
    assert set(containers) == {"certs", "renewer", *running.services}
    for service, container in containers.items():
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
    for service in running.services:
        assert containers[service].attrs["Config"]["User"] == "10001:10001"
        assert containers[service].attrs["State"]["Health"]["Status"] == "healthy"
        binds = containers[service].attrs["Mounts"]
        mounts = {mount["Destination"] for mount in binds if mount["Type"] == "bind"}
        probe = set() if service == "auditor" else {"/certs/probe"}
        assert mounts == {"/certs/identity", *probe}
    published = {
        name: c.attrs["HostConfig"]["PortBindings"] or {} for name, c in containers.items()
    }
    assert {name for name, ports in published.items() if ports} == {"front"}
    assert {binding["HostIp"] for each in published["front"].values() for binding in each} == {
        "127.0.0.1"
    }
