"""What the tests of the PKI share: a CA of either key type, and the script as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bootstrap_certs
from pki.authority import Authority, KeyType

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture(params=["ec", "rsa"], scope="session")
def key_type(request: pytest.FixtureRequest) -> KeyType:
    kind: KeyType = request.param
    return kind


@pytest.fixture(scope="session")
def typed_authority(key_type: KeyType) -> Authority:
    """A CA whose own keys are of `key_type`."""
    return Authority.create(key_type=key_type)


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The script as a person or a container starts it, with a folder that does not exist yet."""
    return [sys.executable, bootstrap_certs.__file__, "--folder", str(tmp_path / "certs")]


@pytest.fixture
def run(command: list[str]) -> Run:
    """Run the script with more arguments in a process of its own, without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )

    return run
