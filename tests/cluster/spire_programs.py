"""SPIRE, built from source by Go's module proxy, once per machine and version."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

VERSION: Final = "v1.13.3"
_TOOLS: Final = tuple(f"github.com/spiffe/spire/cmd/spire-{each}" for each in ("server", "agent"))
_HELPER: Final = Path(__file__).with_name("spiffe_helper")


def spire_programs() -> Path:
    """Return the folder with spire-server, spire-agent and our spiffe-helper, built if need be.

    Raises `CalledProcessError`; Go says why on standard error.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "video-demo" / f"spire-{VERSION}"
    programs = cache / "bin"
    if not all((programs / Path(tool).name).exists() for tool in _TOOLS):
        print(f"\nBuilding SPIRE {VERSION} into {cache}, once; minutes ...", flush=True)
        begin = time.monotonic()
        _build_spire(cache)
        print(f"Built in {time.monotonic() - begin:.0f} s.", flush=True)
    # The module of SPIRE has what our helper imports, in the same versions.
    shutil.copytree(_HELPER, cache / _HELPER.name, dirs_exist_ok=True)
    _go(cache, "build", "-mod=mod", "-o", f"{programs}/spiffe-helper", f"./{_HELPER.name}")
    return programs


def _build_spire(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "go.mod").exists():
        _go(cache, "mod", "init", "video-demo.test/spire")
    _go(cache, "get", "-tool", *(f"{tool}@{VERSION}" for tool in _TOOLS))
    _go(cache, "build", "-o", f"{cache}/bin/", *_TOOLS)


def _go(folder: Path, *arguments: str) -> None:
    # SQLite, in which SPIRE keeps its entries, is C.
    environment = {**os.environ, "CGO_ENABLED": "1", "GOFLAGS": "-buildvcs=false"}
    subprocess.run(["go", *arguments], cwd=folder, env=environment, check=True)
