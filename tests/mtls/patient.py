"""Calling the doctor as its users do, and reading what it says."""

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from doctor.command_line import main
from tests.unit.doctor.material import Made

PATIENCE: Final = ("--timeout", "30")  # the doctor's 5 seconds may be too short on a busy machine


@dataclass(frozen=True)
class Diagnosis:
    """What `--json` says: the exit code, and for each check its result and its text."""

    code: int
    checks: Mapping[str, Mapping[str, str]]

    @property
    def failed(self) -> list[str]:
        """The ids of what failed, in order."""
        return [name for name, check in self.checks.items() if check["result"] == "failed"]

    def result(self, check: str) -> str:
        """How a check came out."""
        return self.checks[check]["result"]

    def detail(self, check: str) -> str:
        """What a check found."""
        return self.checks[check]["detail"]


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Run the doctor with --json; return its exit code and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([*map(str, arguments), "--json"])
    return code, json.loads(out.getvalue())


def connect(address: str, *arguments: object) -> Diagnosis:
    """Examine an endpoint."""
    code, found = run("connect", address, *PATIENCE, *arguments)
    assert found["exit_code"] == code
    return Diagnosis(code, {check["id"]: check for check in found["checks"]})


def handshake(address: str, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Show a handshake."""
    return run("handshake", address, *PATIENCE, *arguments)


def write(folder: Path, made: Made) -> Path:
    """Write key, chain and root as the doctor takes them: `--identity FOLDER`."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = folder / "key-pair.pem"
    pair.write_bytes(made.key_pem() + made.chain_pem)
    pair.chmod(0o600)
    (folder / "ca-certificate.crt").write_bytes(made.root.pem)
    return folder
