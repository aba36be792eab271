"""The clients of the gateway in examples/, against the real services."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_stack import Service, Stack, running_stack
from sample_video import make_sample_video
from tests.checkout import ROOT, copy_checkout
from tests.examples.programs import EXAMPLES, Program, build, missing
from tests.pages import steps_of, type_into_one_shell

CLIENTS = ("python", "go")


@dataclass(frozen=True)
class Running:
    stack: Stack
    gateway: Service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        running_stack(tmp_path_factory.mktemp("stack")) as (stack, queue, gateway),
        stack.start_transcoder(queue.address),
    ):
        yield Running(stack, gateway)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    if reason := missing(request.param):
        pytest.skip(reason)
    return build(tmp_path_factory.mktemp(request.param), request.param)["gateway_client"]


def run(
    client: Program, running: Running, identity: str, video: Path
) -> subprocess.CompletedProcess[str]:
    folder = running.stack.certs / identity
    return subprocess.run(
        [*client.command, folder, running.gateway.address, video],
        env={**os.environ, "SSL_CERT_FILE": "/dev/null"},  # it trusts the folder's CA alone
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_uploads_and_waits_and_fetches_the_thumbnail(
    client: Program, running: Running, tmp_path: Path
) -> None:
    video = tmp_path / "By the sea.mp4"
    make_sample_video(video, seconds=3)  # not done before the client looks
    ended = run(client, running, "client/uploader", video)
    assert ended.returncode == 0, ended.stderr
    events = ended.stdout.splitlines()
    assert '"status":"pending"' in events[0] or '"status":"processing"' in events[0]
    assert '"status":"completed"' in events[-1]
    assert (tmp_path / "By the sea.jpg").read_bytes().startswith(b"\xff\xd8\xff")  # a JPEG


def test_it_says_what_the_gateway_says(client: Program, running: Running, tmp_path: Path) -> None:
    """A viewer may not upload, and what is no video has no thumbnail."""
    video = tmp_path / "not-a-video.mp4"
    video.write_bytes(b"These are words.\n" * 1000)
    denied = run(client, running, "client/viewer", video)
    assert denied.returncode == 1
    assert "The gateway answers 403" in denied.stderr
    assert "may not call POST /videos" in denied.stderr
    failed = run(client, running, "client/uploader", video)
    assert failed.returncode == 1
    assert '"status":"failed"' in failed.stdout.splitlines()[-1]
    assert "The gateway answers 404" in failed.stderr
    assert not video.with_suffix(".jpg").exists()


def test_it_is_refused_without_a_good_certificate(
    client: Program, running: Running, tmp_path: Path
) -> None:
    """The gateway says why; the twin is the first test, on the same live gateway."""
    video = tmp_path / "video.mp4"
    video.write_bytes(b"never read")
    since = running.gateway.log.position()
    refused = run(client, running, "video-queue", video)  # a server's certificate
    assert refused.returncode == 1
    running.gateway.log.wait_for(lambda event: event.get("reason") == "wrong_purpose", since=since)
    events = running.gateway.log.events(since)
    assert not [event for event in events if event["event"].startswith("call.")]


def test_the_commands_of_the_readme_print_what_it_says(running: Running, tmp_path: Path) -> None:
    """In a copy of this checkout, with the certificates of the running gateway."""
    if reason := missing("go"):
        pytest.skip(reason)
    copy_checkout(tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "certs/client").symlink_to(running.stack.certs / "client")
    steps = steps_of(EXAMPLES / "README.md", section="Clients of this repository's gateway")
    assert len(steps) == 4
    commands = [step.command.replace("localhost:8443", running.gateway.address) for step in steps]
    printed = type_into_one_shell(
        [re.sub(r"^python ", f"{sys.executable} ", command) for command in commands],
        folder=tmp_path,
        environment=os.environ,
    )
    for step, output in zip(steps, printed, strict=True):
        assert output == step.output, step.command
