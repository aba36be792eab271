"""deploy/kubernetes says what docker-compose.yml and identities.toml say.

Whether a real API server takes it: `./scripts/test_cluster kubernetes`.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.kubernetes.flows import (
    OUTSIDE,
    Flow,
    compose_flows,
    compose_services,
    networked,
    policy_flows,
    ports_of,
)
from tests.kubernetes.manifests import (
    OVERLAYS,
    WORKLOADS,
    Manifest,
    manifests,
    of_kind,
    pods,
    renderable,
    secrets_of,
)
from tests.pages import ROOT

SERVICES: Final = ("video-queue", "gateway", "transcoder", "console")
UNITS: Final = {"k": 2**10, "m": 2**20, "g": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
# What is said in one of the two only, or otherwise, and why.
ONLY_IN_COMPOSE: Final = {
    "NEXT_STEP",  # for a person at a terminal
    "CONSOLE_IMPOSTORS",  # made by bootstrap_certs.py, and by no other issuer
}
OTHERWISE: Final = {
    "REVOCATION_LISTS": "optional",  # cert-manager signs none
    "LOG_FORMAT": "json",  # for the cluster's log collector
}
CONSOLE_OTHERWISE: Final = {
    "CONSOLE_CERTS_COMMAND": "cmctl renew --namespace video-demo --all",
    "LOG_FORMAT": "console",  # its last line is for a person
}
USAGES: Final = {"server": "server auth", "client": "client auth"}

FOLDERS: Final = renderable()
BASES: Final = [each for each in FOLDERS if each != "impostor"]
NO_KUBECTL: Final = "kubectl is not installed: the overlays cannot be rendered"
TABLES: Final = [
    (folder, rows)
    for folder, rows in (("base", "identities.toml"), (OVERLAYS[1], "deploy/identities.toml"))
    if folder in FOLDERS
]


def policies(folder: str = "base") -> Mapping[str, Manifest]:
    return of_kind(folder, "NetworkPolicy")


def all_pods(folder: str = "base") -> Mapping[str, Manifest]:
    """Return the pods by the name that their service has in Compose."""
    return {**pods(folder), "doctor": pods("impostor")["genuine"]}


def container(pod: Manifest) -> Mapping[str, Any]:
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def flows(folder: str = "base", *, without: str = "") -> frozenset[Flow]:
    chosen = [each for name, each in policies(folder).items() if name != without]
    return policy_flows(chosen, all_pods(folder))


def size(text: str) -> int:
    number = text.rstrip("KMGikmg")
    return int(number) * UNITS[text.removeprefix(number)]


def test_what_compose_lets_through_is_let_through_and_nothing_else() -> None:
    """Stricter in one thing: a network of Compose with a published port also leads outside."""
    assert len(compose_flows()) == 20  # five callers, three servers, one of them with two ports
    assert flows() == compose_flows()


@pytest.mark.parametrize("name", sorted({*policies()} - {"names", "network-edge"}))
def test_no_policy_can_be_left_out(name: str) -> None:
    """The twin: what is compared notices each of them.

    But for network-edge, as in Compose: what is on that network is on the other one too.
    """
    assert flows(without=name) != compose_flows()


@pytest.mark.parametrize("label", ["backend", "edge"])
@pytest.mark.parametrize("service", [*SERVICES, "doctor"])
def test_a_pod_is_on_the_networks_of_its_service(service: str, label: str) -> None:
    labels = all_pods()[service]["metadata"]["labels"]
    is_on_it = label in compose_services()[service]["networks"]
    assert labels.get(f"network.video-demo.test/{label}") == ("true" if is_on_it else None)


def test_names_are_asked_for_in_the_cluster_alone() -> None:
    spec = policies()["names"]["spec"]
    (rule,) = spec["egress"]
    assert spec["podSelector"] == {}
    assert [(each["protocol"], each["port"]) for each in rule["ports"]] == [
        ("UDP", 53),
        ("TCP", 53),
    ]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "kube-system"
    }


def test_from_outside_the_way_in_is_loopback() -> None:
    """In Compose a published port, here `kubectl port-forward`: no flow of the network."""
    published = [port for each in compose_services().values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not [each for each in flows() if OUTSIDE in each]
    assert all(each["spec"].get("type") is None for each in of_kind("base", "Service").values())


@pytest.mark.skipif(OVERLAYS[1] not in FOLDERS, reason=NO_KUBECTL)
def test_scaled_out_the_gateway_is_published_and_the_stores_are_the_queues_alone() -> None:
    """The stores are other people's pods, with the labels that stores.yaml asks for."""
    stores = {"database": 5432, "object-store": 8333}
    labels = {
        name: {"app.kubernetes.io/name": name, "network.video-demo.test/storage": "true"}
        for name in stores
    }
    ends = {
        **all_pods(OVERLAYS[1]),
        **{name: {"metadata": {"labels": each}} for name, each in labels.items()},
    }
    found = policy_flows(policies(OVERLAYS[1]).values(), ends)
    assert found == flows() | {Flow(OUTSIDE, "gateway", 8443)} | {
        Flow(caller, store, port)
        for caller in ("video-queue", *stores)
        for store, port in stores.items()
    }


@pytest.mark.parametrize(("folder", "rows"), TABLES)
def test_every_identity_has_its_certificate(folder: str, rows: str) -> None:
    table = tomllib.loads((ROOT / rows).read_text("utf-8"))
    expected = {
        identity["name"].replace("/", "-"): (
            [f"spiffe://{table['trust_domain']}/{identity['name']}"],
            identity.get("dns_names", []),
            ["digital signature", *(USAGES[use] for use in identity["use"])],
        )
        for identity in table["identity"]
    }
    leaves = {
        name: each["spec"]
        for name, each in of_kind(folder, "Certificate").items()
        if not each["spec"].get("isCA")
    }
    written = {
        name: (spec["uris"], spec.get("dnsNames", []), spec["usages"])
        for name, spec in leaves.items()
    }
    assert written == expected
    for name, spec in leaves.items():
        assert spec["secretName"] == name
        assert spec["issuerRef"]["name"] == "issuing-ca"
        assert (spec["duration"], spec["privateKey"]["rotationPolicy"]) == ("24h", "Always")
        assert not spec.keys() & {"ipAddresses", "emailAddresses"}
        # PostgreSQL knows the queue by its subject; nobody else looks at one.
        assert not spec.get("commonName") or (folder, name) == (OVERLAYS[1], "video-queue")


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_started_as_compose_starts_it(service: str) -> None:
    compose, own = compose_services()[service], container(pods("base")[service])
    environment = {
        name: "no" if value is False else str(value)  # PyYAML reads YAML 1.1, Compose 1.2
        for name, value in compose["environment"].items()
        if name not in ONLY_IN_COMPOSE
    }
    otherwise = CONSOLE_OTHERWISE if service == "console" else {}
    assert {each["name"]: each["value"] for each in own["env"]} == {
        **environment,
        **OTHERWISE,
        **otherwise,
    }
    assert own["image"] == f"video-demo-{service}:latest"  # what `docker compose build` names it
    assert "command" not in own
    assert "args" not in own
    assert {each["containerPort"] for each in own.get("ports", ())} == ports_of(compose)


@pytest.mark.skipif(OVERLAYS[1] not in FOLDERS, reason=NO_KUBECTL)
def test_scaled_out_the_queue_is_started_as_compose_starts_it() -> None:
    more = compose_services("deploy/scale-out.yml")["video-queue"]
    own = container(pods(OVERLAYS[1])["video-queue"])
    base = {each["name"]: each["value"] for each in container(pods("base")["video-queue"])["env"]}
    given = {each["name"]: each.get("value", "") for each in own["env"]}
    assert given == base | {name: str(value) for name, value in more["environment"].items()}
    assert own["image"] == "video-demo-video-queue-scale-out:latest"
    assert size(own["resources"]["limits"]["memory"]) == size(more["mem_limit"])


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_ready_when_compose_says_that_it_is_healthy(service: str) -> None:
    own = container(pods("base")[service])
    _, *command = compose_services()[service]["healthcheck"]["test"]
    assert own["readinessProbe"]["exec"]["command"] == command
    for probe in ("startupProbe", "livenessProbe"):
        assert own[probe]["exec"]["command"][:3] == ["python", "-m", "runtime.healthcheck"]


@pytest.mark.parametrize("service", SERVICES)
def test_it_may_hold_what_compose_lets_it_hold(service: str) -> None:
    compose, pod = compose_services()[service], pods("base")[service]
    resources = container(pod)["resources"]
    assert size(resources["limits"]["memory"]) == size(compose["mem_limit"])
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    in_memory = {
        volume["name"]: size(volume["emptyDir"]["sizeLimit"])
        for volume in pod["spec"]["volumes"]
        if volume.get("emptyDir", {}).get("medium") == "Memory"
    }
    tmpfs = {
        path.removeprefix("/"): size(options.split(",")[0].removeprefix("size="))
        for path, options in (each.split(":") for each in compose.get("tmpfs", ()))
    }
    assert in_memory == tmpfs


@pytest.mark.parametrize("service", sorted(networked()))
def test_compose_hardens_every_service_alike(service: str) -> None:
    """What the next test takes for granted."""
    compose = compose_services()[service]
    assert compose["user"] == "10001:10001"
    assert compose["read_only"] is True
    assert compose["cap_drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(
    ("folder", "name"), [(folder, name) for folder in FOLDERS for name in sorted(pods(folder))]
)
def test_it_has_no_right_that_it_does_not_need(folder: str, name: str) -> None:
    pod = pods(folder)[name]
    spec, own = pod["spec"], container(pod)
    assert spec["automountServiceAccountToken"] is False
    assert {
        key: spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")
    } == {
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
    assert all(each["readOnly"] for each in own["volumeMounts"] if "/certs/" in each["mountPath"])


@pytest.mark.parametrize(
    ("folder", "name"), [(folder, name) for folder in FOLDERS for name in sorted(pods(folder))]
)
def test_it_is_given_its_own_key_alone_and_nobody_else_can_read_it(folder: str, name: str) -> None:
    """0400 becomes 0440, root's and fsGroup's, when it is mounted: what `load_identity` takes."""
    given = list(secrets_of(pods(folder)[name]))
    keys = [(secret, mode) for secret, key, mode in given if key == "tls.key"]
    assert keys == [("probe" if name == "genuine" else name, 0o400)]
    assert {key for secret, key, _ in given if secret != keys[0][0]} <= {"tls.crt", "credentials"}
    assert not {secret for secret, _, _ in given} & {"root-ca", "issuing-ca", "impostor-ca"}


@pytest.mark.parametrize(
    ("folder", "name"), [(folder, name) for folder in FOLDERS for name in sorted(pods(folder))]
)
def test_it_trusts_the_bundle_and_not_what_came_with_its_certificate(
    folder: str, name: str
) -> None:
    """cert-manager's `ca.crt` is the CA that issued: the issuing CA, and not the root."""
    (identity,) = (
        volume["projected"]["sources"]
        for volume in pods(folder)[name]["spec"]["volumes"]
        if volume["name"] == "identity"
    )
    assert {"name": "trust-bundle", "items": [{"key": "ca.crt", "path": "ca.crt"}]} in [
        source.get("configMap") for source in identity
    ]


def test_grpc_finds_every_queue() -> None:
    assert of_kind("base", "Service")["video-queue"]["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("folder", BASES)
def test_a_node_can_be_emptied(folder: str) -> None:
    """Each budget selects pods that there are, and leaves one to go: with none a drain waits."""
    budgets = of_kind(folder, "PodDisruptionBudget")
    assert budgets.keys() == {"video-queue", "gateway", "transcoder"}
    for name, budget in budgets.items():
        selector = budget["spec"]["selector"]["matchLabels"]
        assert selector.items() <= pods(folder)[name]["metadata"]["labels"].items()
        assert budget["spec"]["maxUnavailable"] == 1


@pytest.mark.skipif(OVERLAYS[0] not in FOLDERS, reason=NO_KUBECTL)
def test_sqlite_never_has_two_processes() -> None:
    queue = of_kind("overlays/one-node", "StatefulSet")["video-queue"]["spec"]
    assert queue["replicas"] == 1
    (claim,) = queue["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert "data" not in {volume["name"] for volume in queue["template"]["spec"]["volumes"]}
    assert "video-queue" not in of_kind("overlays/one-node", "Deployment")


@pytest.mark.skipif(OVERLAYS[1] not in FOLDERS, reason=NO_KUBECTL)
def test_scaled_out_there_are_several_of_each_and_the_workers_follow_the_work() -> None:
    workloads = of_kind("overlays/scale-out", *WORKLOADS)
    assert workloads["video-queue"]["spec"]["replicas"] == 3
    assert workloads["gateway"]["spec"]["replicas"] == 2
    assert "replicas" not in workloads["transcoder"]["spec"]  # or each apply would undo the scaler
    (scaler,) = of_kind("overlays/scale-out", "HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"]["name"] == "transcoder"
    own = container(workloads["gateway"]["spec"]["template"])
    assert "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS" not in {each["name"] for each in own["env"]}


@pytest.mark.parametrize("folder", BASES)
def test_the_namespace_refuses_pods_with_more_rights(folder: str) -> None:
    (namespace,) = of_kind(folder, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["name"] == "video-demo"


def test_kinds_are_those_that_are_checked() -> None:
    """A new kind of object gets a test here."""
    assert {each["kind"] for folder in FOLDERS for each in manifests(folder)} <= {
        *WORKLOADS,
        "Certificate",
        "HorizontalPodAutoscaler",
        "Issuer",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    }
