"""What README.md says to type, typed; what it says will be printed, compared."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sample_video import make_sample_video
from tests.compose.project import ROOT, Project

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


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of README.md's console blocks with what it prints."""
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def settled(output: str) -> str:
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return output.strip()


def test_readme_tells_the_truth(readers_project: Project, tmp_path: Path) -> None:
    project = readers_project
    make_sample_video(project.folder / "video.mp4")
    (tmp_path / ".curlrc").write_text("silent\nshow-error\n")  # as curl is at a terminal
    environment = {
        **os.environ,
        "CURL_HOME": str(tmp_path),
        "COMPOSE_PROJECT_NAME": project.name,
        "GATEWAY_PORT": "0",
        "LOG_FORMAT": project.log_format,
    }
    assert list(steps())
    for command, expected in steps():
        ended = subprocess.run(
            ["sh", "-c", command.replace("localhost:8443", f"localhost:{project.port}")],
            cwd=project.folder,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert settled(ended.stdout) == settled(expected), command
