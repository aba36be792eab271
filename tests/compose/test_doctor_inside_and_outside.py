"""The doctor as its README starts it: on this machine, in the containers' network, by pipx."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.compose.project import COMMAND_SECONDS, ROOT, Project
from tests.pages import steps_of

README: Final = ROOT / "services/doctor/README.md"
# pipx itself comes from the package index, by way of the uv that `dev` has.
PIPX: Final = f'#!/bin/sh\nexec {ROOT}/.venv/bin/uv tool run pipx "$@"\n'


def environment_of(project: Project) -> dict[str, str]:
    """Return an environment in which `docker compose` means this project."""
    return {
        **os.environ,
        "COMPOSE_PROJECT_NAME": project.name,
        "GATEWAY_PORT": "0",
        "CONSOLE_PORT": "0",
        "LOG_FORMAT": project.log_format,
    }


@pytest.fixture(scope="module")
def built(project: Project) -> Project:
    """The project with the doctor's image, which `up` does not build."""
    project.compose("build", "doctor")
    return project


def doctor(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor's container; the options of `docker compose run` come first."""
    return subprocess.run(
        ["docker", "compose", "run", "--rm", "--no-TTY", *arguments],
        cwd=project.folder,
        env=environment_of(project),
        check=False,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


def test_every_command_of_its_readme_works_in_one_shell(project: Project, tmp_path: Path) -> None:
    """A command exits with 0, unless the page says after it with what else."""
    (tmp_path / "pipx").write_text(PIPX)
    (tmp_path / "pipx").chmod(0o755)
    typed = [step.command for step in steps_of(README)]
    assert {command.split()[0] for command in typed} == {"docker", "./scripts/doctor", "pipx"}
    codes, said = tmp_path / "codes", tmp_path / "said"
    pasted = "".join(
        f"{command.replace('localhost:8443', f'localhost:{project.port}')}\n"
        f"echo {number} $? >>{codes}\n"
        for number, command in enumerate(typed)
    )
    with said.open("wb") as out:
        subprocess.run(
            ["sh", "-c", pasted],
            cwd=project.folder,
            env={
                **environment_of(project),
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "PIPX_HOME": str(tmp_path / "home"),
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=COMMAND_SECONDS,
        )
    expected = (re.search(r"# exit code (\d)$", command) for command in typed)
    assert codes.read_text().splitlines() == [
        f"{number} {match[1] if match else 0}" for number, match in enumerate(expected)
    ], said.read_text()


def test_up_does_not_start_it(project: Project) -> None:
    assert "gateway" in project.containers()
    assert "doctor" not in project.containers()


def test_its_image_holds_its_code_and_the_library(built: Project) -> None:
    listing = doctor(built, "--entrypoint", "ls", "doctor", "/app").stdout
    assert set(listing.split()) - {"__pycache__"} == {"doctor", "mtls", "runtime"}


@pytest.mark.parametrize(
    ("path", "error"),
    [("/app", "EROFS"), ("/certs/identity", "EROFS"), ("/given", "EROFS"), ("/tmp", "")],  # noqa: S108
)
def test_it_can_write_nowhere_but_in_memory(built: Project, path: str, error: str) -> None:
    """Not even as root, and with no right that root would have."""
    program = """
import errno, json, pathlib, sys
try:
    (pathlib.Path(sys.argv[1]) / "file").write_bytes(b"")
except OSError as failure:
    error = errno.errorcode[failure.errno]
else:
    error = ""
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([error, int(status["CapEff"], 16), int(status["NoNewPrivs"])]))
"""
    given = f"{built.folder}/certs/client/viewer:/given:ro"
    ran = doctor(
        built, "--user", "0", "--volume", given, "--entrypoint", "python",
        "doctor", "-c", program, path,
    )  # fmt: skip
    assert json.loads(ran.stdout or "null") == [error, 0, 1], ran.stderr
