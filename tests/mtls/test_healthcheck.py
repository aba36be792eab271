"""The health check of the containers: through mutual TLS, or without a client's certificate."""

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
    for url, identity in (
        ("grpc://localhost:1", "probe"),
        ("https://localhost:1/healthz", "probe"),
        ("tls://localhost:1", "video-queue"),
    ):
        checked = check(url, running[0].certs / identity)
        assert checked.returncode == 1
        assert "refused" in checked.stderr


@pytest.mark.parametrize("name", ["video-queue", "gateway"])
def test_verifies_a_server_and_shows_it_nothing(
    name: str, running: tuple[Stack, Service, Service], tmp_path: Path
) -> None:
    """So it is no refused client; the twin trusts another CA, and shows nothing either."""
    stack, queue, gateway = running
    service = queue if name == "video-queue" else gateway
    denied = {
        "video-queue": (f"grpc://{queue.address}", stack.certs / "client/viewer"),
        "gateway": (f"https://{gateway.address}/healthz", stack.certs / "transcoder"),
    }[name]

    def has_said_all() -> int:
        """A denied call comes last: what the log says of those before it, it has said by then."""
        since = service.log.position()
        assert check(*denied).returncode == 1
        service.log.wait_for(lambda event: event["event"] == "call.denied", since=since)
        return service.log.position()

    since = has_said_all()
    for _ in range(3):
        checked = check(f"tls://{service.address}", stack.certs / name)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    stranger = Authority.create(IDENTITIES)
    write_identity(tmp_path, stranger.issue(identity_named(name)), stranger.ca_pem)
    refused = check(f"tls://{service.address}", tmp_path)
    assert (refused.returncode, "CERTIFICATE_VERIFY_FAILED" in refused.stderr) == (1, True)
    has_said_all()
    said = [event for event in service.log.events(since) if event["event"].startswith("handshake.")]
    assert said == []


def test_fails_for_a_server_of_another_name(running: tuple[Stack, Service, Service]) -> None:
    stack, queue, _ = running
    port = queue.address.rpartition(":")[2]
    checked = check(f"tls://127.0.0.1:{port}", stack.certs / "video-queue")
    assert checked.returncode == 1
    assert "IP address mismatch" in checked.stderr


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
    assert "grpc://, https:// or tls://" in checked.stderr


def test_says_what_is_wrong_with_its_own_identity(tmp_path: Path) -> None:
    checked = check("grpc://localhost:1", tmp_path)
    assert checked.returncode == 1
    assert "cannot be read" in checked.stderr
