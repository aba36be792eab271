"""What README.md says to type, typed into one shell; what it says will be printed, compared."""

import os
import re
from pathlib import Path
from typing import Final

from tests.compose.logs import patient
from tests.compose.project import Project
from tests.pages import ROOT, normalised, steps_of, type_into_one_shell

# What differs from run to run and from machine to machine, and says nothing.
VARYING: Final = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"[0-9a-f]{64}"), "SHA-256"),
    (re.compile(r"peer=[\d.]+:\d+"), "peer=PEER"),
    (re.compile(r'("(?:size_bytes|duration_seconds)":) ?[\d.]+'), r"\1 N"),
    (re.compile(r"OpenSSL SSL_read: .*(?=alert certificate required)"), ""),
    (re.compile(r", errno 0$", re.MULTILINE), ""),
)


def test_readme_tells_the_truth(readers_project: Project, tmp_path: Path) -> None:
    project = readers_project
    (project.folder / ".venv").symlink_to(ROOT / ".venv")  # made here already
    (tmp_path / ".curlrc").write_text("silent\nshow-error\n")  # as curl is at a terminal
    environment = {
        **os.environ,
        "CURL_HOME": str(tmp_path),
        "COMPOSE_PROJECT_NAME": project.name,
        "GATEWAY_PORT": "0",
        "CONSOLE_PORT": "0",
        "LOG_FORMAT": project.log_format,
    }
    steps = steps_of(ROOT / "README.md")
    assert steps
    printed = type_into_one_shell(
        (patient(step).replace("localhost:8443", f"localhost:{project.port}") for step in steps),
        folder=project.folder,
        environment=environment,
    )
    for step, output in zip(steps, printed, strict=True):
        assert normalised(output, VARYING) == normalised(step.output, VARYING), step.command
