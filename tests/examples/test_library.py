"""The examples of examples/library run, serve whom they should, and refuse the others."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "examples/library"
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(ROOT / "services"), "NO_COLOR": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority, other = Authority.create(IDENTITIES), Authority.create(IDENTITIES)
    lists = authority.crl()
    for name in ("gateway", "video-queue", "client/viewer", "client/uploader"):
        issued = authority.issue(identity_named(name))
        write_identity(tmp_path / name, issued, authority.ca_pem, crl_pem=lists)
    viewer = other.issue(identity_named("client/viewer"))  # like ours in all but its CA
    write_identity(
        tmp_path / "stranger", viewer, other.ca_pem + authority.ca_pem, crl_pem=other.crl() + lists
    )
    return tmp_path


def start(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, EXAMPLES / program, *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(("kind", "name"), [("http", "gateway"), ("grpc", "video-queue")])
def test_the_example_serves_whom_it_names_and_says_why_it_refuses_others(
    folder: Path, kind: str, name: str
) -> None:
    def call(caller: str) -> str:
        return start(f"{kind}_client.py", folder / caller, address).communicate(timeout=60)[0]

    server = start(f"{kind}_server.py", folder / name, "localhost:0")
    try:
        assert server.stdout
        lines = iter(server.stdout.readline, "")
        address = next(line.split()[-1] for line in lines if line.startswith("listening on "))
        assert "Hello, client/viewer!" in call("client/viewer")
        assert "may not call" in call("client/uploader")
        assert "Hello" not in call("stranger")
        assert "Hello, client/viewer!" in call("client/viewer")
    finally:
        server.terminate()
        said = server.communicate(timeout=60)[0]
    assert said.count("client/viewer called\n") == said.count("called\n") == 2
    assert said.count("call.denied") == said.count("reason=not_listed") == 1
    assert "reason=unknown_ca" in said


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_screen_and_stands_in_the_readme(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 30
    assert path.name in (EXAMPLES / "README.md").read_text()
