"""What the tests of the PKI share: a CA of either key type, and the script as a process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bootstrap_certs
from demo_identities import IDENTITIES
from pki.authority import Authority, KeyType
from pki.bootstrap import bootstrap
from pki.run import Options

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@pytest.fixture(params=["ec", "rsa"], scope="session")
def key_type(request: pytest.FixtureRequest) -> KeyType:
    kind: KeyType = request.param
    return kind


@pytest.fixture(scope="session")
def typed_authority(key_type: KeyType) -> Authority:
    """A CA whose own keys are of `key_type`."""
    return Authority.create(IDENTITIES, key_type=key_type)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are killed in these tests, but the power never fails."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after its first run, which no test may change."""
    folder = tmp_path_factory.mktemp("made")
    bootstrap(folder, Options(IDENTITIES))
    return folder


@pytest.fixture
def certs(made: Path, tmp_path: Path) -> Path:
    """A folder after its first run."""
    return shutil.copytree(made, tmp_path / "certs")


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The script as a person or a container starts it, with a folder that does not exist yet."""
    script = bootstrap_certs.__file__
    return [sys.executable, script, "--localhost", "--folder", str(tmp_path / "certs")]


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
