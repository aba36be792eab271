"""What deploy/kubernetes says: as kustomize renders it or, without that, as it is written."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from tests.pages import ROOT

Manifest = Mapping[str, Any]

FOLDER: Final = ROOT / "deploy/kubernetes"
OVERLAYS: Final = ("overlays/one-node", "overlays/scale-out")
VERSION: Final = "v1.35.4"
_CACHE: Final = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
TOOLS: Final = Path(_CACHE) / "video-demo" / f"kubernetes-{VERSION}" / "bin"
WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "Job"})


def kustomize() -> list[str] | None:
    """Return the command that renders a folder, or None if there is none on this machine."""
    if (TOOLS / "kustomize").exists():
        return [str(TOOLS / "kustomize"), "build"]
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return ["kubectl", "kustomize"] if shutil.which("kubectl") else None


def renderable() -> Sequence[str]:
    """Return the folders that can be read here: an overlay is a patch, which kustomize applies."""
    return ("base", "impostor", *(OVERLAYS if kustomize() else ()))


@cache
def manifests(folder: str) -> Sequence[Manifest]:
    """Return all objects of a folder below deploy/kubernetes."""
    if command := kustomize():
        rendered = subprocess.run(
            [*command, str(FOLDER / folder)], check=True, capture_output=True, text=True
        )
        return tuple(each for each in yaml.safe_load_all(rendered.stdout) if each)
    written = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text("utf-8"))
    return tuple(
        each
        for name in written["resources"]
        for each in yaml.safe_load_all((FOLDER / folder / name).read_text("utf-8"))
        if each
    )


def of_kind(folder: str, *kinds: str) -> Mapping[str, Manifest]:
    """Return the objects of these kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests(folder) if each["kind"] in kinds}


def pods(folder: str) -> Mapping[str, Manifest]:
    """Return the pod template of each workload, by its name."""
    return {name: each["spec"]["template"] for name, each in of_kind(folder, *WORKLOADS).items()}


def secrets_of(pod: Manifest) -> Iterator[tuple[str, str, int]]:
    """Yield each file of a Secret that a pod is given: the Secret, the key in it, the mode."""
    for volume in pod["spec"]["volumes"]:
        projected = volume.get("projected", {})
        for source in projected.get("sources", ()):
            if secret := source.get("secret"):
                for item in secret["items"]:  # without `items` it would be all of them
                    yield secret["name"], item["key"], projected["defaultMode"]
        assert "secret" not in volume, "a Secret is given file by file"
