"""What the benchmarks need beside Python: looked for before anything runs."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from local_stack import ROOT

NODE: Final = "node"
NPM_FOLDER: Final = ROOT / "benchmarks" / "peer-node"
_NODE_MAJOR: Final = 20


class NeedError(RuntimeError):
    """Something that the benchmarks need is not there."""


def version_of(*command: str) -> str:
    """Return the first line that a program says of itself, or "" if it is not there."""
    if shutil.which(command[0]) is None:
        return ""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).partition("\n")[0].strip()


def _lacks_node() -> str:
    version = version_of(NODE, "--version")
    found = re.match(r"v(\d+)", version)
    if not found or int(found[1]) < _NODE_MAJOR:
        has = f"this machine has {version}" if found else "there is none on the PATH"
        return f"Node {_NODE_MAJOR} or newer ({has}): https://nodejs.org, or apt install nodejs npm"
    if not (NPM_FOLDER / "node_modules").is_dir():
        return f"the packages of the peer: npm ci --prefix {NPM_FOLDER.relative_to(ROOT)}"
    return ""


def _lacks_nginx() -> str:
    return "" if version_of("nginx", "-v") else "nginx: apt install nginx-light"


def _lacks_openssl() -> str:
    return "" if version_of("openssl", "version") else "openssl: apt install openssl"


_LACKS: Final[Mapping[str, Callable[[], str]]] = {
    "node": _lacks_node,
    "nginx": _lacks_nginx,
    "openssl": _lacks_openssl,
}


def missing(needs: Iterable[str]) -> list[str]:
    """Return what is missing, and how to get it; nothing if all is there."""
    return [said for need in sorted(set(needs)) if (said := _LACKS[need]())]
