"""What docs/copy-it.md and the greeter's README.md say makes a system that refuses strangers.

The copy is brought up, and not the example: it has all that the example has, and stands alone.
"""

import http.client
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import docker
import pytest

from impostors import Impostor, tls_context
from pki.authority import Authority
from pki.identities import load_identities
from tests.compose.conftest import new_name
from tests.compose.project import FREE_PORTS, Project
from tests.compose.waiting import wait_for
from tests.examples.greeter_copy import copy_greeter
from tests.pages import Step, normalised, steps_of, type_into_one_shell

# The port is the engine's choice, so it is asked for it where the page has the usual one.
PORT: Final = "$(docker compose port front 8443 | cut -d: -f2)"
VARYING: Final = (
    (re.compile(r"OpenSSL SSL_read: .*(?=alert certificate required)"), ""),
    (re.compile(r", errno 0$", re.MULTILINE), ""),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def typed(home: Path, engine: docker.DockerClient) -> Iterator[tuple[Project, list[Step]]]:
    """Yield the copy, which runs, and what each command of its README.md has printed."""
    project = Project(new_name(), copy_greeter(home), engine, log_format="console")
    (home / ".curlrc").write_text("silent\nshow-error\n")  # as curl is at a terminal
    names = {"COMPOSE_PROJECT_NAME": project.name, "CURL_HOME": str(home)}
    steps = steps_of(project.folder / "README.md")
    try:
        printed = type_into_one_shell(
            (step.command.replace("localhost:8443", f"localhost:{PORT}") for step in steps),
            folder=project.folder,
            environment={**os.environ, **FREE_PORTS, **names},
            seconds=600,  # the first build fetches every wheel
        )
        outputs = zip(steps, printed, strict=True)
        yield project, [Step(step.command, output) for step, output in outputs]
    finally:
        project.compose("down", "--volumes", "--rmi", "local", "--remove-orphans")


def test_its_readme_tells_the_truth(typed: tuple[Project, list[Step]]) -> None:
    """Alice is served; bob, who has no right, and alice without her certificate are not."""
    project, printed = typed
    expected = steps_of(project.folder / "README.md")
    assert len(expected) > 5
    for step, said in zip(expected, printed, strict=True):
        assert normalised(said.output, VARYING) == normalised(step.output, VARYING), step.command


def test_a_certificate_of_another_ca_is_refused(typed: tuple[Project, list[Step]]) -> None:
    """It has the same names as alice's, which is served before and after."""
    project, _ = typed
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

    def log(service: str, since: int = 0) -> bytes:
        return project.container(service).logs()[since:]

    assert say_hello(None) == b"Hello, client/alice!\n"
    since = {service: project.log_position(service) for service in ("front", "greeter")}
    with pytest.raises(OSError, match="UNKNOWN_CA"):
        say_hello(forged)
    wait_for(lambda: b"reason=unknown_ca" in log("front", since["front"]), "the reason")
    for service, position in since.items():
        assert b"hello.called" not in log(service, position)
    assert say_hello(None) == b"Hello, client/alice!\n"


def test_its_containers_have_no_privileges(typed: tuple[Project, list[Step]]) -> None:
    project, _ = typed
    containers = project.containers()
    assert set(containers) == {"certs", "renewer", "greeter", "front"}
    for service, container in containers.items():
        host = container.attrs["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
    for service in ("greeter", "front"):
        assert containers[service].attrs["Config"]["User"] == "10001:10001"
        assert containers[service].attrs["State"]["Health"]["Status"] == "healthy"
        mounts = {mount["Destination"] for mount in containers[service].attrs["Mounts"]}
        assert mounts == {"/certs/identity", "/certs/probe"}
    published = {
        name: c.attrs["HostConfig"]["PortBindings"] or {} for name, c in containers.items()
    }
    assert {name for name, ports in published.items() if ports} == {"front"}
    assert {binding["HostIp"] for each in published["front"].values() for binding in each} == {
        "127.0.0.1"
    }
