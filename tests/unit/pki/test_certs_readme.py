"""What certs/README.md says to type, typed in its order."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import bootstrap_certs
from demo_identities import FILE

PAGE: Final = Path(__file__).resolve().parents[3] / "certs/README.md"
NAME: Final = "scripts/bootstrap_certs.py"
STAYS: Final = f"{NAME} renew"  # the tests of the renewer run it
FOR_IDENTITY: Final = "client/viewer"


def commands() -> list[str]:
    return re.findall(rf"^\| `({re.escape(NAME)}.*?)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def test_every_command_does_its_work(tmp_path: Path) -> None:
    typed = commands()
    assert STAYS in typed
    assert len(typed) >= 10
    for command in typed:
        ended = run(f"{command} --now" if command == STAYS else command, tmp_path)
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    assert not list(tmp_path.glob("certs/client/*/client.p12"))  # --force has issued all again


@pytest.mark.parametrize("argument", ["--shew", "revoke mailserver"])
def test_a_command_that_is_not_there_would_be_noticed(argument: str, tmp_path: Path) -> None:
    assert run(NAME, tmp_path).returncode == 0
    assert run(f"{NAME} {argument}", tmp_path).returncode != 0


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = shlex.split(command.replace("IDENTITY", FOR_IDENTITY))[1:]
    options = ["--folder", "certs", "--identities", str(FILE), "--load-time", "0s"]
    return subprocess.run(
        [sys.executable, bootstrap_certs.__file__, *options, *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
