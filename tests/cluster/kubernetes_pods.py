"""The pods of deploy/kubernetes, each as a container with what its manifest says, and an impostor.

`./scripts/test_cluster kubernetes_pods` runs it, as root, with a Docker engine. Where no cluster
with nodes can be had, this is how far the manifests can be tried: images, users, rights, limits,
environment, mounted keys and probes are those of the manifests. What it cannot show is what the
kubelet, the scheduler, DNS and a network plug-in do; cert-manager has a stand-in.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import aiohttp
import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network

from sample_video import make_sample_video
from tests.cluster.kubernetes_secrets import CertManager, Secret, lay_down
from tests.compose.programs import run
from tests.kubernetes.manifests import Manifest, manifests, of_kind, pods
from tests.pages import ROOT

PROJECT: Final = "kubernetes-pods"
OVERLAY: Final = "overlays/one-node"
SERVICES: Final = ("video-queue", "gateway", "transcoder", "console")
_SECONDS: Final = 120

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a key to a pod")


def wait_until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not in {_SECONDS} s: {what}"
        time.sleep(0.5)


@dataclass(slots=True)
class Node:
    """What a node has: an engine, a network, the Secrets, and a folder for what is mounted."""

    engine: docker.DockerClient
    network: Network
    folder: Path
    certificates: CertManager
    running: dict[str, Container]
    volumes: list[str]

    def objects(self, pod: Manifest) -> Mapping[str, Secret]:
        """Return the Secrets that a pod asks for, and the trust bundle: the root's certificate."""
        found: dict[str, Secret] = {"trust-bundle": {"ca.crt": self.root}}
        for volume in pod["spec"]["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                if "secret" in source:
                    name = source["secret"]["name"]
                    found[name] = self.certificates.secret(name)
        return found

    @property
    def root(self) -> bytes:
        """What the third command of docs/kubernetes.md takes out of the Secret `root-ca`."""
        return self.certificates.secret("root-ca")["tls.crt"]

    def lay_down(self, name: str, pod: Manifest) -> None:
        """Write what is mounted, or write it anew."""
        for volume in pod["spec"]["volumes"]:
            if "projected" in volume:
                where = self.folder / name / volume["name"]
                lay_down(where, volume["projected"], self.objects(pod))

    def start(self, name: str, pod: Manifest) -> Container:
        """Start the container of a pod, under the names of the Services that select it."""
        self.lay_down(name, pod)
        spec, (own,) = pod["spec"], pod["spec"]["containers"]
        security = {**spec["securityContext"], **own["securityContext"]}
        container = self.engine.containers.create(
            own["image"].replace("video-demo-", f"{PROJECT}-"),
            own.get("args"),
            name=f"{PROJECT}-{name}",
            environment={each["name"]: each["value"] for each in own.get("env", ())},
            user=f"{security['runAsUser']}:{security['runAsGroup']}",
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=["no-new-privileges:true"],
            mem_limit=own["resources"]["limits"]["memory"].replace("i", "").lower(),
            extra_hosts={
                host: alias["ip"]
                for alias in spec.get("hostAliases", ())
                for host in alias["hostnames"]
            },
            tmpfs=dict(_in_memory(spec, own)),
            volumes=[*self._mounts(name, spec, own)],
            network=self.network.name,
        )
        self.running[name] = container
        self.network.disconnect(container)
        self.network.connect(container, aliases=_services_of(pod))
        container.start()
        return container

    def _mounts(self, name: str, spec: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
        in_memory = {path for path, _ in _in_memory(spec, own)}
        projected = {each["name"] for each in spec["volumes"] if "projected" in each}
        for mount in own["volumeMounts"]:
            path = mount["mountPath"]
            if mount["name"] in projected:
                yield f"{self.folder / name / mount['name']}:{path}:ro"
            elif path not in in_memory:
                self.volumes.append(f"{PROJECT}-{name}-{mount['name']}")
                yield f"{self.volumes[-1]}:{path}"

    def log(self, name: str) -> list[Mapping[str, Any]]:
        """Return the events of a service; a line that is no JSON is left out."""
        lines = self.running[name].logs().decode().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def _in_memory(spec: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sizes = {
        each["name"]: each["emptyDir"]["sizeLimit"].replace("i", "").lower()
        for each in spec["volumes"]
        if each.get("emptyDir", {}).get("medium") == "Memory"
    }
    for mount in own["volumeMounts"]:
        if size := sizes.get(mount["name"]):
            yield mount["mountPath"], f"size={size},mode=1777"


def _services_of(pod: Manifest) -> list[str]:
    labels = pod["metadata"]["labels"]
    return [
        name
        for name, each in of_kind(OVERLAY, "Service").items()
        if each["spec"]["selector"].items() <= labels.items()
    ]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    build = ["docker", "compose", "-p", PROJECT, "--profile", "tools", "build", *SERVICES, "doctor"]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    engine = docker.from_env()
    folder = tmp_path_factory.mktemp("node")
    for each in (folder, *folder.parents):
        if each.owner() == "root" and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o011)  # a mount is looked up as the container's user
    with ExitStack() as ended:
        network = engine.networks.create(PROJECT, internal=True)
        ended.callback(network.remove)
        issuing = CertManager([*manifests(OVERLAY), *manifests("impostor")])
        node = Node(engine, network, folder, issuing, {}, [])
        ended.callback(_remove, node)
        for name in SERVICES:
            node.start(name, pods(OVERLAY)[name])
        yield node


def _remove(node: Node) -> None:
    for container in node.running.values():
        container.remove(force=True)
    for name in node.volumes:
        node.engine.volumes.get(name).remove(force=True)


def probe(node: Node, name: str, kind: str) -> tuple[int, str]:
    (own,) = pods(OVERLAY)[name]["spec"]["containers"]
    done = run(node.running[name], *own[kind]["exec"]["command"])
    return done.exit_code, done.output.decode() + done.stderr


def is_ready(node: Node, name: str) -> bool:
    assert node.running[name].status != "exited", node.running[name].logs().decode()
    return probe(node, name, "readinessProbe")[0] == 0


@pytest.mark.parametrize("name", SERVICES)
def test_it_becomes_ready_by_its_own_probes(node: Node, name: str) -> None:
    wait_until(partial(is_ready, node, name), f"{name} is ready")
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert probe(node, name, kind) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_probe_says_what_is_wrong(node: Node, name: str) -> None:
    """The twin: the same command with a file that does not exist in the place of `alive`."""
    (own,) = pods(OVERLAY)[name]["spec"]["containers"]
    for kind in ("readinessProbe", "livenessProbe"):
        command = [
            "/nowhere" if each in {"/tmp/alive", "/certs/identity"} else each  # noqa: S108
            for each in own[kind]["exec"]["command"]
        ]
        done = run(node.running[name], *command)
        assert done.exit_code == 1
        assert "/nowhere" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_its_key_is_for_it_alone_to_read(node: Node, name: str) -> None:
    show = (
        "import os; key = os.stat('/certs/identity/tls.key');"
        "print(key.st_uid, key.st_gid, oct(key.st_mode & 0o777))"
    )
    assert run(node.running[name], "python", "-c", show).output == b"0 10001 0o440\n"
    as_another = node.running[name].exec_run(
        ["python", "-c", "open('/certs/identity/tls.key')"], user="10002:10002"
    )
    assert b"PermissionError" in as_another.output


def test_a_genuine_pod_is_served_and_an_impostor_is_refused(node: Node) -> None:
    """They differ in the Secret alone; the queue says why, and no call of him gets through."""
    wait_until(partial(is_ready, node, "video-queue"), "the queue is ready")
    genuine = node.start("genuine", pods("impostor")["genuine"])
    assert genuine.wait(timeout=_SECONDS)["StatusCode"] == 0, genuine.logs().decode()
    before = [each for each in node.log("video-queue") if each.get("reason") == "unknown_ca"]
    impostor = node.start("impostor", pods("impostor")["impostor"])
    assert impostor.wait(timeout=_SECONDS)["StatusCode"] == 1, impostor.logs().decode()
    assert "It accepts our certificate (client.accepted)" in impostor.logs().decode()

    def refused() -> list[Mapping[str, Any]]:
        return [each for each in node.log("video-queue") if each.get("reason") == "unknown_ca"]

    wait_until(lambda: len(refused()) > len(before), "the queue has said why")
    assert {each["event"] for each in refused()} == {"handshake.refused"}
    assert not before


def person(node: Node, folder: Path, name: str) -> aiohttp.TCPConnector:
    """Return a connector with a person's certificate, as `kubectl get secret` gives it."""
    secret = node.certificates.secret(name)
    for file in ("tls.crt", "tls.key"):
        (folder / file).touch(mode=0o600)
        (folder / file).write_bytes(secret[file])
    (folder / "ca.crt").write_bytes(node.root)
    identity = load_identity(folder, roles=frozenset({Role.CLIENT}))
    return aiohttp.TCPConnector(ssl=client_context(identity))


def address_of(node: Node, name: str) -> str:
    node.running[name].reload()
    found = node.running[name].attrs["NetworkSettings"]["Networks"][node.network.name]
    return str(found["IPAddress"])


async def test_an_uploaded_video_becomes_playable(node: Node, tmp_path: Path) -> None:
    for name in ("gateway", "transcoder"):
        wait_until(partial(is_ready, node, name), f"{name} is ready")
    make_sample_video(tmp_path / "video.mp4")
    content = (tmp_path / "video.mp4").read_bytes()
    url = f"https://{address_of(node, 'gateway')}:8443/videos"
    async with aiohttp.ClientSession(
        connector=person(node, tmp_path, "client-uploader")
    ) as session:
        form = aiohttp.FormData({"title": "In a pod"})
        form.add_field("file", content, filename="video.mp4", content_type="video/mp4")
        async with session.post(url, data=form, server_hostname="gateway") as response:
            video = await response.json()
        assert video["owner"] == "spiffe://video-demo.test/client/uploader"
        async with asyncio.timeout(_SECONDS):
            while video["status"] not in {"completed", "failed"}:
                await asyncio.sleep(0.5)
                one = f"{url}/{video['id']}"
                async with session.get(one, server_hostname="gateway") as response:
                    video = await response.json()
    assert video["status"] == "completed", video


def test_renewed_secrets_are_taken_without_a_restart(node: Node) -> None:
    """Last, for it changes every certificate."""
    node.certificates.renew()
    for name in SERVICES:
        node.lay_down(name, pods(OVERLAY)[name])

    def has_renewed(name: str) -> bool:
        return "identity.renewed" in {each["event"] for each in node.log(name)}

    for name in ("video-queue", "gateway", "transcoder"):  # the console's log is for people
        wait_until(partial(has_renewed, name), f"{name} has its new certificate")
    for name in SERVICES:
        wait_until(partial(is_ready, node, name), f"{name} is ready")
        node.running[name].reload()
        assert node.running[name].attrs["RestartCount"] == 0
        assert node.running[name].status == "running"
    assert not [e for e in node.log("video-queue") if e["event"] == "identity.refused"]
