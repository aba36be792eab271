"""How a service starts and ends, by its exit code and its last line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity

SECONDS = 60
REQUIRED = {
    "gateway": "GATEWAY_IDENTITY",
    "video_queue": "VIDEO_QUEUE_DATA",
    "transcoder": "TRANSCODER_IDENTITY",
    "console": "CONSOLE_GATEWAY",
}
NAMES = {
    "gateway": "gateway",
    "video_queue": "video-queue",
    "transcoder": "transcoder",
    "console": "console",
}


def variables(service: str, folder: Path) -> dict[str, str]:
    prefix = service.upper()
    return {
        **os.environ,
        "PYTHONPATH": "services:protos/gen",
        "LOG_FORMAT": "json",
        f"{prefix}_IDENTITY": str(folder / "identity"),
        f"{prefix}_LISTEN": "127.0.0.1:0",
        f"{prefix}_QUEUE": "localhost:1",  # where nobody listens
        f"{prefix}_GATEWAY": "localhost:1",
        f"{prefix}_DATA": str(folder / "data"),
        f"{prefix}_WORK": str(folder / "work"),
    }


def write_files(folder: Path, name: str) -> None:
    authority = Authority.create(IDENTITIES)
    issued = authority.issue(identity_named(name))
    write_identity(folder, issued, authority.ca_pem, crl_pem=authority.crl())


def started(service: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", service], env=environment, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def running(service: str, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Yield a service whose lines end, as it does: it is killed if it does not end by itself."""
    process = started(service, environment)
    patience = Timer(SECONDS, process.kill)
    patience.start()
    try:
        with process:  # which waits for its end
            yield process
    finally:
        patience.cancel()


@pytest.mark.parametrize("service", REQUIRED)
def test_a_wrong_variable_ends_with_2_and_one_line_that_names_it(
    service: str, tmp_path: Path
) -> None:
    environment = variables(service, tmp_path)
    del environment[REQUIRED[service]]
    process = started(service, environment)
    _, lines = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert lines.startswith(f"{REQUIRED[service]} is not set")
    assert lines.count("\n") == 1


@pytest.mark.parametrize("service", REQUIRED)
def test_a_service_without_certificate_ends_with_1_and_the_reason(
    service: str, tmp_path: Path
) -> None:
    process = started(service, variables(service, tmp_path))
    _, lines = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    (event,) = map(json.loads, lines.splitlines())
    assert event["event"].endswith(".cannot_start")
    assert str(tmp_path / "identity") in event["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("service", REQUIRED)
def test_a_signal_ends_a_service_with_0(
    service: str, number: signal.Signals, tmp_path: Path
) -> None:
    write_files(tmp_path / "identity", NAMES[service])
    events = []
    with running(service, variables(service, tmp_path)) as process:
        assert process.stderr
        for line in process.stderr:
            events.append(json.loads(line)["event"])
            if events[-1] in {"server.listening", "worker.started"}:
                process.send_signal(number)
    assert process.returncode == 0
    noun = "worker" if service == "transcoder" else "server"
    assert events[-1] == f"{noun}.stopped"


@pytest.mark.parametrize("step", ["", "curl https://localhost:8443/videos"])
def test_the_line_after_the_start_says_what_to_do_next_if_the_settings_do(
    step: str, tmp_path: Path
) -> None:
    write_files(tmp_path / "identity", "gateway")
    lines = []
    environment = variables("gateway", tmp_path) | {"NEXT_STEP": step}
    with running("gateway", environment) as process:
        assert process.stderr
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "server.listening":
                process.send_signal(signal.SIGTERM)
    after = lines[[line["event"] for line in lines].index("server.listening") + 1]
    assert (after["event"], after.get("step")) == (
        ("next", step) if step else ("server.stopping", None)
    )


def test_a_level_of_the_log_that_there_is_not_ends_with_2(tmp_path: Path) -> None:
    process = started("gateway", variables("gateway", tmp_path) | {"LOG_LEVEL": "loud"})
    _, lines = process.communicate(timeout=SECONDS)
    assert (process.returncode, lines) == (
        2,
        "LOG_LEVEL is 'loud': it should hold one of info, debug.\n",
    )
