"""Where it was measured: the machine and the versions of what ran."""

import os
import platform
import re
import ssl
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.needs import GO_FOLDER, NODE, NPM_FOLDER, VENV_PYTHON, says, version_of

_PYTHON_PACKAGES: Final = ("aiohttp", "grpcio", "uvloop", "cryptography", "sqlalchemy", "orjson")
_PEER_PACKAGES: Final = ("fastapi", "uvicorn")
_NPM_PACKAGES: Final = ("fastify", "@grpc/grpc-js", "@fastify/multipart", "autocannon")


def environment() -> dict[str, str]:
    """Return what a reader has to know to compare, by its name."""
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "build of Python": _python_build(),
        "OpenSSL of Python": ssl.OPENSSL_VERSION,
        "Node": version_of(NODE, "--version"),
        "nginx": version_of("nginx", "-v"),
        "openssl": version_of("openssl", "version"),
        **{name: version(name) for name in _PYTHON_PACKAGES},
        **{name: _npm_version(name) for name in _NPM_PACKAGES},
        **{name: _peer_version(name) for name in _PEER_PACKAGES},
        **_go_versions(),
        "HAProxy": version_of("haproxy", "-v"),
        "stunnel": _found(r"^stunnel .+$", says("stunnel4", "-version")),
        "Envoy": _found(r"/(\d+\.\d+\.\d+)/", says(str(VENV_PYTHON.parent / "envoy"), "--version")),
    }
    return {name: value for name, value in found.items() if value}


def _python_build() -> str:
    """Say whether this Python was built with profile-guided optimization (PGO), as far as it tells.

    One that was built without `--enable-optimizations` runs Python code more slowly. The settings
    of a system's own may leave it out.
    """
    flags = ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST", "PY_CORE_LDFLAGS")
    said = " ".join(str(sysconfig.get_config_var(each) or "") for each in flags)
    if "--enable-optimizations" in said or "-fprofile-use" in said:
        return "with PGO"
    return "the system's" if sys.base_prefix == "/usr" else "without PGO"


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[found.re.groups] if found else ""


def _peer_version(name: str) -> str:
    packages = VENV_PYTHON.parent.parent.glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return _found(rf"{name}-(.+)\.dist-info", next((each.name for each in packages), ""))


def _go_versions() -> dict[str, str]:
    said = says("go", "version", "-m", str(GO_FOLDER / "bin" / "gateway"))
    return {
        "Go": _found(r": go(\S+)", said),
        "grpc-go": _found(r"google\.golang\.org/grpc\s+v(\S+)", said),
    }


def _processor() -> str:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return model[1] if model else platform.machine()


def _npm_version(name: str) -> str:
    package = NPM_FOLDER / "node_modules" / name / "package.json"
    if not package.exists():
        return ""
    found = re.search(r'"version":\s*"([^"]+)"', package.read_text("utf-8"))
    return found[1] if found else ""
