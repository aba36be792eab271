"""A real API server takes deploy/kubernetes, and refuses what it should: the reasons are its own.

`./scripts/test_cluster kubernetes` runs it: building the server takes too long for the suite, which
does not collect this file by its name.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.cluster.kubernetes_api import NAMESPACE, Answer, ApiServer, running
from tests.cluster.kubernetes_programs import CRDS, build_programs
from tests.kubernetes.manifests import OVERLAYS, WORKLOADS, manifests, of_kind, pods

build_programs()  # the names of the tests are those of the rendered objects

FOLDERS: Final = (*OVERLAYS, "impostor")
PODS: Final = [(folder, name) for folder in FOLDERS for name in sorted(pods(folder))]

KINDS: Final = frozenset({"Certificate", "Issuer"})

Pod = dict[str, Any]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running(tmp_path_factory.mktemp("cluster")) as server:
        for path in sorted(CRDS.glob("*.yaml")):
            for crd in yaml.safe_load_all(path.read_text("utf-8")):
                answer = server.call("POST", server.path_of(crd), crd)
                assert answer.status == 201, answer.message
        deadline = time.monotonic() + 60
        while KINDS - _kinds(server.call("GET", "/apis/cert-manager.io/v1")):
            assert time.monotonic() < deadline, "cert-manager's kinds are not served"
            time.sleep(0.2)
        (namespace,) = of_kind(OVERLAYS[0], "Namespace").values()
        assert server.apply(namespace).status == 201
        # A controller would make it: without it no pod can be created.
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default"},
        }
        assert server.apply(account).status == 201
        yield server


def _kinds(discovered: Answer) -> frozenset[str]:
    return frozenset(each["kind"] for each in discovered.body.get("resources", ()))


def pod(folder: str, name: str) -> Pod:
    """Return the pod that a controller would make of a workload."""
    template = copy.deepcopy(dict(pods(folder)[name]))
    labels = template["metadata"]["labels"]
    metadata = {"name": f"{name}-1", "namespace": NAMESPACE, "labels": labels}
    claims = of_kind(folder, *WORKLOADS)[name]["spec"].get("volumeClaimTemplates", ())
    template["spec"]["volumes"] += [
        {
            "name": each["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": f"{each['metadata']['name']}-{name}-0"},
        }
        for each in claims
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_taken(api: ApiServer, folder: str) -> None:
    """First as a trial, then for good; the same again changes nothing. No warning is given."""
    found: Sequence[Any] = manifests(folder)
    assert len(found) >= 5
    for dry_run in (True, False):
        for each in found:
            answer = api.apply(each, dry_run=dry_run)
            assert answer.status in {200, 201}, (each["metadata"]["name"], answer.message)
            assert not answer.warnings, (each["metadata"]["name"], answer.warnings)
    for each in found:
        path = f"{api.path_of(each)}/{each['metadata']['name']}"
        before = api.call("GET", path).body["metadata"]["resourceVersion"]
        assert api.apply(each).body["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(("folder", "name"), PODS)
def test_its_pod_is_let_in_where_the_restricted_standard_is_enforced(
    api: ApiServer, folder: str, name: str
) -> None:
    answer = api.create(pod(folder, name))
    assert answer.status == 201, answer.message
    assert not answer.warnings


def _may_gain_privileges(spec: Pod) -> None:
    del spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


def _keeps_capabilities(spec: Pod) -> None:
    del spec["containers"][0]["securityContext"]["capabilities"]


def _may_be_root(spec: Pod) -> None:
    del spec["securityContext"]["runAsNonRoot"]


def _is_root(spec: Pod) -> None:
    spec["securityContext"]["runAsUser"] = 0


def _has_every_system_call(spec: Pod) -> None:
    del spec["securityContext"]["seccompProfile"]


def _is_on_the_machines_network(spec: Pod) -> None:
    spec["hostNetwork"] = True


def _sees_the_machines_files(spec: Pod) -> None:
    spec["volumes"].append({"name": "machine", "hostPath": {"path": "/"}})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_may_gain_privileges, "allowPrivilegeEscalation != false"),
        (_keeps_capabilities, "unrestricted capabilities"),
        (_may_be_root, "runAsNonRoot != true"),
        (_is_root, "runAsUser=0"),
        (_has_every_system_call, "seccompProfile"),
        (_is_on_the_machines_network, "hostNetwork"),
        (_sees_the_machines_files, "hostPath"),
    ],
    ids=lambda each: each.__name__.strip("_") if callable(each) else "",
)
@pytest.mark.parametrize(("folder", "name"), PODS)
def test_without_one_hardening_it_is_refused_and_the_reason_says_which(
    api: ApiServer, folder: str, name: str, spoil: Callable[[Pod], None], reason: str
) -> None:
    """The twin of the test before it: one fact differs."""
    spoilt = pod(folder, name)
    spoil(spoilt["spec"])
    answer = api.create(spoilt)
    assert answer.status == 403
    assert 'violates PodSecurity "restricted:latest"' in answer.message
    assert reason in answer.message


def test_the_key_is_for_its_group_alone_as_the_server_read_it(api: ApiServer) -> None:
    """0400 is octal for the API server too, and not four hundred."""
    stored = api.create(pod(OVERLAYS[0], "gateway")).body["spec"]
    (identity,) = (each for each in stored["volumes"] if each["name"] == "identity")
    assert identity["projected"]["defaultMode"] == 0o400
    assert stored["securityContext"]["fsGroup"] == 10001


def test_a_field_that_nobody_knows_is_refused(api: ApiServer) -> None:
    """So a misspelt field of ours would be: the twins are the objects that are taken."""
    gateway = copy.deepcopy(of_kind(OVERLAYS[0], "Deployment")["gateway"])
    gateway["spec"]["template"]["spec"]["automountServiceAccountTokens"] = False
    answer = api.apply(gateway, dry_run=True)
    assert answer.status in {400, 500}
    assert "automountServiceAccountTokens" in answer.message


def test_a_purpose_that_cert_manager_does_not_know_is_refused(api: ApiServer) -> None:
    leaf = copy.deepcopy(of_kind(OVERLAYS[0], "Certificate")["gateway"])
    leaf["spec"]["usages"] = ["server authentication"]
    answer = api.apply(leaf, dry_run=True)
    assert answer.status == 422
    assert "spec.usages[0]" in answer.message
