"""The health check of the containers: it goes through mutual TLS, as the identity `probe`."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo_identities import IDENTITIES, identity_named
from local_stack import Service, Stack
from pki.authority import Authority
from pki.identity_folder import write_identity


def check(url: str, identity: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime.healthcheck", url, "--identity", str(identity)],
        env={"PYTHONPATH": "services", "https_proxy": "http://127.0.0.1:9"},  # nobody's
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(params=["video-queue", "gateway"])
def url(request: pytest.FixtureRequest, running: tuple[Stack, Service, Service]) -> str:
    _, queue, gateway = running
    if request.param == "gateway":
        return f"https://{gateway.address}/healthz"
    return f"grpc://{queue.address}"


def test_is_content_with_a_healthy_service(
    url: str, running: tuple[Stack, Service, Service]
) -> None:
    checked = check(url, running[0].certs / "probe")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_fails_with_a_certificate_of_another_ca(url: str, tmp_path: Path) -> None:
    stranger = Authority.create(IDENTITIES)
    write_identity(tmp_path, stranger.issue(identity_named("probe")), stranger.ca_pem)
    checked = check(url, tmp_path)
    assert checked.returncode == 1
    assert "certificate" in checked.stderr.lower()


def test_fails_where_nobody_listens(running: tuple[Stack, Service, Service]) -> None:
    for url in ("grpc://localhost:1", "https://localhost:1/healthz"):
        checked = check(url, running[0].certs / "probe")
        assert checked.returncode == 1
        assert "refused" in checked.stderr


def test_fails_for_an_identity_that_is_not_listed(
    running: tuple[Stack, Service, Service],
) -> None:
    stack, queue, gateway = running
    viewer = check(f"grpc://{queue.address}", stack.certs / "client/viewer")
    assert viewer.returncode == 1
    assert "PERMISSION_DENIED" in viewer.stderr
    transcoder = check(f"https://{gateway.address}/healthz", stack.certs / "transcoder")
    assert transcoder.returncode == 1
    assert "403" in transcoder.stderr


@pytest.mark.parametrize("url", ["http://localhost:1/", "localhost:1"])
def test_takes_no_address_without_tls(url: str, tmp_path: Path) -> None:
    checked = check(url, tmp_path)
    assert checked.returncode == 2
    assert "grpc:// or https://" in checked.stderr


def test_says_what_is_wrong_with_its_own_identity(tmp_path: Path) -> None:
    checked = check("grpc://localhost:1", tmp_path)
    assert checked.returncode == 1
    assert "cannot be read" in checked.stderr
