"""The API server's own types and its Pod Security admission, as a library, judge deploy/kubernetes.

`./scripts/test_cluster kubernetes_admission` runs it: a minute to build, where the whole server of
kubernetes.py takes half an hour. What it leaves out is what only a server does: defaults, the
validation of values, and cert-manager's kinds.
"""

import copy
import subprocess
from collections.abc import Callable
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.cluster.kubernetes_programs import build_admission
from tests.kubernetes.manifests import OVERLAYS, WORKLOADS, Manifest, manifests, of_kind

FOLDERS: Final = (*OVERLAYS, "impostor")
OF_OTHERS: Final = frozenset({"Certificate", "Issuer"})
ALL: Final = [(each, name) for each in FOLDERS for name in sorted(of_kind(each, *WORKLOADS))]

build_admission()


def judged(*objects: Manifest) -> list[str]:
    """Return a line for each object."""
    text: str = yaml.safe_dump_all(objects)
    command = [str(build_admission())]
    done = subprocess.run(command, input=text, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_read_strictly_and_every_pod_is_allowed(folder: str) -> None:
    ours = [each for each in manifests(folder) if each["kind"] not in OF_OTHERS]
    assert ours
    assert judged(*ours) == [f"{each['kind']} {each['metadata']['name']}: taken" for each in ours]


def _may_gain_privileges(spec: dict[str, Any]) -> None:
    del spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


def _keeps_capabilities(spec: dict[str, Any]) -> None:
    del spec["containers"][0]["securityContext"]["capabilities"]


def _may_be_root(spec: dict[str, Any]) -> None:
    del spec["securityContext"]["runAsNonRoot"]


def _is_root(spec: dict[str, Any]) -> None:
    spec["securityContext"]["runAsUser"] = 0


def _has_every_system_call(spec: dict[str, Any]) -> None:
    del spec["securityContext"]["seccompProfile"]


def _is_on_the_machines_network(spec: dict[str, Any]) -> None:
    spec["hostNetwork"] = True


def _sees_the_machines_files(spec: dict[str, Any]) -> None:
    spec["volumes"].append({"name": "machine", "hostPath": {"path": "/"}})


def _has_a_misspelt_field(spec: dict[str, Any]) -> None:
    spec["automountServiceAccountTokens"] = False


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_may_gain_privileges, "must set securityContext.allowPrivilegeEscalation=false"),
        (_keeps_capabilities, 'must set securityContext.capabilities.drop=["ALL"]'),
        (_may_be_root, "must set securityContext.runAsNonRoot=true"),
        (_is_root, "must not set runAsUser=0"),
        (_has_every_system_call, "must set securityContext.seccompProfile.type"),
        (_is_on_the_machines_network, "hostNetwork=true"),
        (_sees_the_machines_files, 'uses restricted volume type "hostPath"'),
        (_has_a_misspelt_field, 'unknown field "spec.template.spec.automountServiceAccountTokens"'),
    ],
)
@pytest.mark.parametrize(("folder", "name"), ALL)
def test_with_one_fact_spoilt_it_is_refused_for_that(
    folder: str, name: str, spoil: Callable[[dict[str, Any]], None], reason: str
) -> None:
    """The twin: the same object as above but for that."""
    spoilt = copy.deepcopy(of_kind(folder, *WORKLOADS)[name])
    spoil(spoilt["spec"]["template"]["spec"])
    (verdict,) = judged(spoilt)
    assert reason in verdict
