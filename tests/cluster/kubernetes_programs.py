"""kube-apiserver and kustomize, built from source by Go's module proxy, once per machine."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.kubernetes.manifests import TOOLS, VERSION, kustomize

CRDS: Final = TOOLS.parent / "cert-manager-crds"
_CERT_MANAGER: Final = "github.com/cert-manager/cert-manager@v1.21.2"
_PROGRAMS: Final = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
_SOURCE: Final = Path(__file__).with_name("kubernetes_tools")  # go.sum has the hash of everything
_STAMP: Final = "k8s.io/component-base/version"


def build_programs() -> None:
    """Build what is missing, and lay down cert-manager's kinds.

    Raises `CalledProcessError`; Go says why on standard error.
    """
    for name, package in _PROGRAMS.items():
        has_another = name == "kustomize" and kustomize()
        if not (TOOLS / name).exists() and not has_another:
            print(f"\nBuilding {name} {VERSION}, once; minutes ...", flush=True)
            begin = time.monotonic()
            _build(name, package)
            print(f"Built in {time.monotonic() - begin:.0f} s.", flush=True)
    if not CRDS.exists():
        _copy_crds()


def build_admission() -> Path:
    """Build the program that judges pods as the API server does, if it is missing."""
    if not (TOOLS / "admission").exists():
        _build("admission", "./admission")
    return TOOLS / "admission"


def _build(name: str, package: str) -> None:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    facts = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s -w", *(f"-X {_STAMP}.{each}={value}" for each, value in facts.items())])
    _go("build", "-trimpath", "-ldflags", flags, "-o", str(TOOLS / name), package)


def _copy_crds() -> None:
    found = json.loads(_go("mod", "download", "-json", _CERT_MANAGER))
    new = CRDS.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(Path(found["Dir"]) / "deploy" / "crds", new)
    new.rename(CRDS)


def _go(*arguments: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    return subprocess.run(
        ["go", *arguments],
        cwd=_SOURCE,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
