"""A handshake as it happened: every message, in its step of the textbook picture."""

import io
import json
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from doctor.command_line import main
from doctor.picture import picture
from doctor.recording import from_json
from doctor.watch import ContentType
from local_stack import ROOT as REPOSITORY
from local_stack import Service, Stack
from tests.mtls.foreign_servers import openssl_server
from tests.mtls.patient import handshake, write
from tests.pages import steps_of
from tests.unit.doctor.material import CLIENT, HOUR, ISSUING, LEAF, NOW, ROOT, SERVER, make

Running = tuple[Stack, Service, Service]
Shown = Mapping[str, Any]

# TLS 1.3, RFC 8446, figure 1; the numbers are the textbook's steps.
TLS_1_3: Final = [
    (1, "sent", "ClientHello"),
    (2, "received", "ServerHello"),
    (2, "received", "EncryptedExtensions"),
    (2, "received", "CertificateRequest"),
    (2, "received", "Certificate"),
    (2, "received", "CertificateVerify"),
    (2, "received", "Finished"),
    (4, "sent", "ChangeCipherSpec"),
    (4, "sent", "Certificate"),
    (4, "sent", "CertificateVerify"),
    (4, "sent", "Finished"),
]
# TLS 1.2, RFC 5246, figure 1: the server's Finished comes after ours, so it says yes. OpenSSL does
# not report the ChangeCipherSpec before it.
TLS_1_2: Final = [
    (1, "sent", "ClientHello"),
    (2, "received", "ServerHello"),
    (2, "received", "Certificate"),
    (2, "received", "ServerKeyExchange"),
    (2, "received", "CertificateRequest"),
    (2, "received", "ServerHelloDone"),
    (4, "sent", "Certificate"),
    (4, "sent", "ClientKeyExchange"),
    (4, "sent", "CertificateVerify"),
    (4, "sent", "ChangeCipherSpec"),
    (4, "sent", "Finished"),
    (6, "received", "NewSessionTicket"),
    (6, "received", "Finished"),
]


def messages(shown: Shown) -> list[tuple[int, str, str]]:
    """Leave out the server's ChangeCipherSpec, which means nothing: OpenSSL 3.5 reports it."""
    found = [(each["step"], each["direction"], each["name"]) for each in shown["messages"]]
    return [each for each in found if each != (2, "received", "ChangeCipherSpec")]


def fields(shown: Shown, step: int, name: str) -> dict[str, str]:
    """Of the first such message; of two fields of a name, the first too: that of the leaf."""
    found = [m["fields"] for m in shown["messages"] if (m["step"], m["name"]) == (step, name)]
    return {label.strip(): text for label, text in reversed(found[0])}


def outcomes(shown: Shown) -> list[str]:
    return [step["outcome"] for step in shown["steps"]]


def test_shows_tls_1_3_with_the_http_server(running: Running) -> None:
    stack, _, gateway = running
    code, shown = handshake(
        gateway.address, "--identity", stack.certs / "probe", "--http", "--path", "/healthz"
    )
    assert code == 0
    assert messages(shown) == [*TLS_1_3, (7, "sent", "Data"), (7, "received", "Data")]
    assert shown["version"] == "TLS 1.3"
    hello = fields(shown, 1, "ClientHello")
    assert hello["server name (SNI)"] == "localhost"
    assert hello["versions offered"] == "TLS 1.3, TLS 1.2"
    assert hello["protocols (ALPN)"] == "http/1.1"
    assert fields(shown, 2, "ServerHello")["version chosen"] == "TLS 1.3"
    assert fields(shown, 2, "Certificate")["certificate 1"] == "CN=gateway,O=video-demo.test"
    assert fields(shown, 4, "Certificate")["names"] == "spiffe://video-demo.test/probe"
    assert fields(shown, 7, "Data")["begins"] == "GET /healthz HTTP/1.1"
    assert outcomes(shown)[5] == "granted: the server answers"
    times = [message["milliseconds"] for message in shown["messages"]]
    assert times == sorted(times)


def test_shows_tls_1_3_with_the_grpc_server(running: Running) -> None:
    stack, queue, _ = running
    code, shown = handshake(queue.address, "--identity", stack.certs / "probe", "--grpc")
    assert code == 0
    assert messages(shown)[: len(TLS_1_3)] == TLS_1_3
    after = messages(shown)[len(TLS_1_3) :]
    assert (6, "received", "NewSessionTicket") in after
    assert after[-1] == (7, "received", "Data")
    assert shown["ending"] == "open"  # we left as soon as we knew
    assert fields(shown, 2, "EncryptedExtensions")["protocol chosen (ALPN)"] == "h2"


def test_shows_who_has_nothing_to_show(running: Running) -> None:
    stack, queue, gateway = running
    authority = stack.certs / "probe/ca-certificate.crt"
    code, shown = handshake(gateway.address, "--ca", authority, "--http")
    assert code == 1
    assert messages(shown)[-1] == (6, "received", "Alert")
    assert fields(shown, 6, "Alert")["says"] == "certificate_required (fatal)"
    assert fields(shown, 4, "Certificate")["certificates"] == "none: we have none to send"
    assert outcomes(shown)[3] == "asked, and we have none to send"

    code, shown = handshake(queue.address, "--ca", authority, "--grpc")
    assert code == 1
    assert messages(shown)[-1] == (4, "sent", "Finished")
    assert "without an alert" in outcomes(shown)[5]


def test_shows_a_certificate_that_we_refuse(running: Running) -> None:
    """The certificate is seen although it does not verify, and nothing of ours is sent."""
    stack, queue, _ = running
    port = queue.address.rpartition(":")[2]
    code, shown = handshake(f"127.0.0.1:{port}", "--identity", stack.certs / "probe")
    assert code == 1
    names = [name for _, _, name in messages(shown)]
    assert names[-2:] == ["Certificate", "Alert"]
    assert messages(shown)[-1][:2] == (3, "sent")
    assert "video-queue" in fields(shown, 2, "Certificate")["names"]
    assert outcomes(shown)[2].startswith("refused: IP address mismatch")
    assert outcomes(shown)[3:6] == ["not reached"] * 3


def test_saves_a_refusal_of_ours_and_its_twin(running: Running, tmp_path: Path) -> None:
    """Dialled by its address, which is not in its certificate: we refuse, and send an alert."""
    stack, queue, _ = running
    port = queue.address.rpartition(":")[2]
    drawn = {}
    for host in ("localhost", "127.0.0.1"):
        path = tmp_path / f"{host}.json"
        handshake(f"{host}:{port}", "--identity", stack.certs / "probe", "--grpc", "--save", path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        drawn[host] = picture(from_json(json.loads(path.read_text())))
    accepted, refused = drawn.values()
    assert accepted["outcome"]["is_accepted"]
    assert (accepted["client"], accepted["server"]) == ("probe", "video-queue")
    assert not any(message["is_failure"] for message in accepted["messages"])
    outcome, last = refused["outcome"], refused["messages"][-1]
    assert (outcome["is_accepted"], outcome["by"], outcome["step"]) == (False, "client", 3)
    assert outcome["text"].startswith("IP address mismatch")
    assert (last["step"], last["sender"], last["name"]) == (3, "client", "Alert")
    assert last["is_failure"]
    [record] = [refused["records"][number] for number in last["records"]]
    # OpenSSL 3.0 writes this one in the clear: it has no key to write with before its own part.
    assert last["is_encrypted"] is record["hex"].startswith(f"{ContentType.DATA:02x}")
    assert [step["is_reached"] for step in refused["steps"]] == [True] * 3 + [False] * 4
    assert [card["sender"] for card in refused["certificates"]] == ["server"] * 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A server, a client, and a client whose certificate has expired."""
    top = make(ISSUING, make(ROOT))
    folder = tmp_path_factory.mktemp("folders")
    client = replace(LEAF, ekus=[CLIENT])
    return (
        write(folder / "server", make(replace(LEAF, ekus=[SERVER]), top)),
        write(folder / "client", make(client, top)),
        write(folder / "expired", make(replace(client, begin=NOW - 3 * HOUR, end=NOW - HOUR), top)),
    )


def require(server: Path) -> Sequence[str]:
    pair = str(server / "key-pair.pem")
    authority = str(server / "ca-certificate.crt")
    return ("-cert_chain", pair, "-CAfile", authority, "-Verify", "2", "-verify_return_error")


@pytest.mark.parametrize(("version", "expected"), [("1.2", TLS_1_2), ("1.3", TLS_1_3)])
def test_shows_both_versions_with_openssl(
    folders: tuple[Path, Path, Path], version: str, expected: list[tuple[int, str, str]]
) -> None:
    server, client, expired = folders
    with openssl_server(server / "key-pair.pem", *require(server)) as address:
        code, shown = handshake(address, "--identity", client, "--http", "--tls", version)
        refused_code, refused = handshake(
            address, "--identity", expired, "--http", "--tls", version
        )
    assert code == 0
    # OpenSSL 3.5 asks for ours compressed (RFC 8879), and what is in it is shown all the same.
    said = [(step, side, name.removeprefix("Compressed")) for step, side, name in messages(shown)]
    assert said[: len(expected)] == expected
    [ours] = [
        dict(each["fields"])
        for each in shown["messages"]
        if each["direction"] == "sent" and each["name"].endswith("Certificate")
    ]
    assert ours["certificate 1"] == "CN=leaf"
    assert shown["version"] == f"TLS {version}"
    assert fields(shown, 2, "CertificateRequest")["CAs named"] == "CN=root"
    assert outcomes(shown)[5] == "granted: the server answers"
    assert shown["ending"] == "closed"

    assert refused_code == 1
    assert messages(refused)[-1] == (6, "received", "Alert")
    assert fields(refused, 6, "Alert")["says"] == "certificate_expired (fatal)"
    assert outcomes(refused)[5].startswith("refused.")


def test_shows_a_second_hello(folders: tuple[Path, Path, Path]) -> None:
    """A server that wants another group asks again: both hellos are the textbook's first step."""
    server, client, _ = folders
    arguments = (*require(server), "-groups", "P-521")
    with openssl_server(server / "key-pair.pem", *arguments) as address:
        code, shown = handshake(address, "--identity", client, "--http")
    assert code == 0
    first = [name for step, _, name in messages(shown) if step == 1 and name != "ChangeCipherSpec"]
    assert first == ["ClientHello", "HelloRetryRequest", "ClientHello"]


def test_prints_the_seven_steps_for_people(running: Running) -> None:
    stack, _, gateway = running
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["handshake", gateway.address, "--identity", str(stack.certs / "probe")]) == 0
    text = out.getvalue()
    titles = [line for line in text.splitlines() if line[:1].isdigit()]
    assert [int(title[0]) for title in titles] == [1, 2, 3, 4, 5, 6, 7]
    assert "-->  ClientHello" in text
    assert "<--  Certificate " in text
    assert 'valid: chain, dates, purpose, and the name "localhost"' in text
    assert "unseen: our own handshake is over before it" in text


# The details that the page about the handshake shows; it says that the others are left out.
SHOWN_DETAILS: Final = ("server name", "from here on", "certificate ", "  names: spiffe", "signed")
PAGE: Final = REPOSITORY / "docs/what-mutual-tls-is.md"


def excerpt(text: str) -> list[str]:
    """Return the lines that the page shows, without what differs from run to run."""
    kept: list[str] = []
    for line in text.splitlines():
        detail = line.removeprefix(" " * 26)
        if "ChangeCipherSpec" in line or (detail != line and not detail.startswith(SHOWN_DETAILS)):
            continue  # OpenSSL 3.5 reports one ChangeCipherSpec more than 3.0
        said = re.sub(r"[\d.]+ (ms|bytes)", r"\1", " ".join(line.split()))
        if kept[-1:] != [said]:  # an answer may come in one piece or in two
            kept.append(said)
    return kept


def test_the_page_shows_such_a_handshake(running: Running) -> None:
    """As the command on the page prints it, from the first message to the answer."""
    stack, _, gateway = running
    [step] = steps_of(PAGE)
    command = step.command.removeprefix("./scripts/doctor ")
    command = command.replace("certs/", f"{stack.certs}/")
    command = command.replace("localhost:8443", gateway.address)
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(command.split()) == 0
    assert excerpt(step.output) == excerpt(out.getvalue())
    assert "ChangeCipherSpec" not in step.output
