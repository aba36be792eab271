"""Where it was measured: the machine and the versions of what ran."""

import os
import platform
import re
import ssl
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.needs import NODE, NPM_FOLDER, version_of

_PYTHON_PACKAGES: Final = ("aiohttp", "grpcio", "uvloop", "cryptography", "sqlalchemy", "orjson")
_NPM_PACKAGES: Final = ("fastify", "@grpc/grpc-js", "@fastify/multipart", "autocannon")


def environment() -> dict[str, str]:
    """Return what a reader has to know to compare, by its name."""
    found = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "OpenSSL of Python": ssl.OPENSSL_VERSION,
        "Node": version_of(NODE, "--version"),
        "nginx": version_of("nginx", "-v"),
        "openssl": version_of("openssl", "version"),
        **{name: version(name) for name in _PYTHON_PACKAGES},
        **{name: _npm_version(name) for name in _NPM_PACKAGES},
    }
    return {name: value for name, value in found.items() if value}


def _processor() -> str:
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return model[1] if model else platform.machine()


def _npm_version(name: str) -> str:
    package = NPM_FOLDER / "node_modules" / name / "package.json"
    if not package.exists():
        return ""
    found = re.search(r'"version":\s*"([^"]+)"', package.read_text("utf-8"))
    return found[1] if found else ""
