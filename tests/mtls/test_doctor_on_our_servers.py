"""The doctor examines both our servers, and names the cause where there is one to be seen."""

import datetime as dt
from pathlib import Path

import pytest

from demo_identities import IDENTITIES, identity_named
from local_stack import Service, Stack
from pki.authority import Authority, Issued
from pki.identities import SERVER
from pki.identity_folder import write_identity
from tests.mtls.patient import connect

HOUR = dt.timedelta(hours=1)
Running = tuple[Stack, Service, Service]


@pytest.fixture(params=["queue", "gateway"])
def endpoint(request: pytest.FixtureRequest, running: Running) -> tuple[str, list[str]]:
    """An address, and how to call it."""
    _, queue, gateway = running
    if request.param == "queue":
        return queue.address, ["--grpc"]
    return gateway.address, ["--http", "--path", "/healthz"]


def test_finds_nothing_wrong_with_an_honest_client(
    running: Running, endpoint: tuple[str, list[str]]
) -> None:
    address, how = endpoint
    found = connect(address, *how, "--identity", running[0].certs / "probe")
    assert (found.code, found.failed) == (0, [])
    for check in ("server.verified", "client.asked", "client.accepted", "client.required"):
        assert found.result(check) == "ok"
    assert found.result("call.answered") == "ok"


def test_says_what_a_valid_certificate_may_not_do(
    running: Running, endpoint: tuple[str, list[str]]
) -> None:
    """A refusal by policy proves that the certificate was accepted, and is said to."""
    stranger = {"--grpc": "client/uploader", "--http": "transcoder"}
    address, how = endpoint
    found = connect(address, *how, "--identity", running[0].certs / stranger[how[0]])
    assert (found.code, found.failed) == (0, [])
    assert found.result("client.accepted") == "ok"
    assert found.result("call.answered") == "note"
    assert "the certificate was accepted" in found.detail("call.answered")


def refused(
    folder: Path, running: Running, endpoint: tuple[str, list[str]], issued: Issued
) -> tuple[list[str], str]:
    """Return what fails for a client that only differs from an honest one in its certificate."""
    write_identity(folder, issued, running[0].authority.ca_pem)
    address, how = endpoint
    found = connect(address, *how, "--identity", folder)
    assert found.code == 1
    assert found.result("server.verified") == "ok"
    assert found.result("call.answered") == "skipped"
    return found.failed, found.detail("client.accepted")


# gRPC sends no alert, so there the cause is what the doctor found in our own files.
SILENT = "closed the connection without an alert"


def test_names_an_expired_certificate(
    running: Running, endpoint: tuple[str, list[str]], tmp_path: Path
) -> None:
    now = dt.datetime.now(dt.UTC)
    issued = running[0].authority.issue(
        identity_named("probe"), not_before=now - 3 * HOUR, not_after=now - HOUR
    )
    failed, cause = refused(tmp_path, running, endpoint, issued)
    assert failed == ["own.dates", "client.accepted"]
    assert (SILENT if "--grpc" in endpoint[1] else "alert certificate_expired") in cause
    assert "Look at what failed above: own.dates" in cause


def test_names_the_wrong_purpose(
    running: Running, endpoint: tuple[str, list[str]], tmp_path: Path
) -> None:
    issued = running[0].authority.issue(identity_named("probe"), ekus=[SERVER])
    failed, cause = refused(tmp_path, running, endpoint, issued)
    assert failed[0] == "own.purpose"
    assert failed[-1] == "client.accepted"
    assert (SILENT if "--grpc" in endpoint[1] else "alert unsupported_certificate") in cause


def test_names_a_certificate_of_another_ca(
    running: Running, endpoint: tuple[str, list[str]], tmp_path: Path
) -> None:
    """The CA given verifies the server, so that ours is from another is a note with the cause."""
    issued = Authority.create(IDENTITIES).issue(identity_named("probe"))
    failed, cause = refused(tmp_path, running, endpoint, issued)
    assert failed == ["client.accepted"]
    assert (SILENT if "--grpc" in endpoint[1] else "alert unknown_ca") in cause
    found = connect(endpoint[0], "--identity", tmp_path)
    assert found.result("own.root") == "note"
    assert "the CA was made again" in found.detail("own.root")


def test_a_client_without_certificate_learns_that_one_is_required(
    running: Running, endpoint: tuple[str, list[str]]
) -> None:
    address, how = endpoint
    found = connect(address, *how, "--ca", running[0].certs / "probe/ca-certificate.crt")
    assert (found.code, found.failed) == (0, [])
    assert found.result("client.accepted") == "skipped"
    cause = SILENT if "--grpc" in how else "alert certificate_required"
    assert cause in found.detail("client.required")


def test_names_the_names_that_a_server_has(
    running: Running, endpoint: tuple[str, list[str]]
) -> None:
    address, how = endpoint
    port = address.rpartition(":")[2]
    probe = running[0].certs / "probe"
    found = connect(f"127.0.0.1:{port}", *how, "--identity", probe)
    assert found.failed == ["server.name", "server.verified"]
    assert "has to be there as an IP name" in found.detail("server.name")
    assert "IP address mismatch" in found.detail("server.verified")
    assert found.result("client.accepted") == "skipped"
    assert found.result("client.asked") == "ok"  # seen although we did not go on

    fixed = connect(f"127.0.0.1:{port}", *how, "--identity", probe, "--name", "localhost")
    assert fixed.failed == []


def test_a_server_that_we_refuse_is_told_so(running: Running) -> None:
    """By our TLS alert, so that its log too says that it was the client who did not trust it."""
    stack, _, gateway = running
    since, port = gateway.log.position(), gateway.address.rpartition(":")[2]
    connect(f"127.0.0.1:{port}", "--identity", stack.certs / "probe")
    event = gateway.log.wait_for(lambda event: event["event"] == "handshake.refused", since=since)
    assert event["reason"] == "refused_by_peer"


def test_without_http_or_grpc_it_says_how_much_it_knows(running: Running) -> None:
    stack, queue, gateway = running
    found = connect(queue.address, "--identity", stack.certs / "probe")
    assert found.result("client.accepted") == "ok"  # an HTTP/2 server speaks first
    found = connect(gateway.address, "--identity", stack.certs / "probe")
    assert found.result("client.accepted") == "note"
    assert "add --http or --grpc" in found.detail("client.accepted")
    assert found.result("call.answered") == "skipped"


def test_http_asked_of_a_grpc_server_is_found(running: Running) -> None:
    stack, queue, _ = running
    found = connect(queue.address, "--http", "--identity", stack.certs / "probe")
    assert found.result("tls.alpn") == "note"
    assert found.failed == ["client.accepted"]
    assert "it does not speak our protocol" in found.detail("client.accepted")
    for check in ("tls.alpn", "client.accepted"):
        assert "may be a gRPC port" in found.checks[check]["fix"]


def test_grpc_asked_of_an_http_server_is_found(running: Running) -> None:
    stack, _, gateway = running
    found = connect(gateway.address, "--grpc", "--identity", stack.certs / "probe")
    assert "tls.alpn" in found.failed
