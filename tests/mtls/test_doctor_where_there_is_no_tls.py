"""What looks like a refusal and is none: no name, no server, no TLS."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from doctor.command_line import main
from tests.mtls.foreign_servers import nobody, plaintext_http, saying, silent
from tests.mtls.patient import connect, handshake, write
from tests.unit.doctor.material import leaf


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("identity"), leaf())


def test_a_port_where_nobody_listens(identity: Path) -> None:
    with nobody() as address:
        found = connect(address, "--identity", identity)
    assert (found.code, found.failed) == (3, ["net.port"])
    assert "Nothing listens there" in found.detail("net.port")
    assert found.result("server.presented") == "skipped"
    assert found.detail("client.accepted") == "because net.port failed"


def test_a_name_that_nobody_knows(identity: Path) -> None:
    found = connect("no-such-host.invalid:443", "--identity", identity)
    assert (found.code, found.failed) == (3, ["net.name"])
    assert found.result("net.port") == "skipped"


def test_a_handshake_with_nobody_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    with nobody() as address:
        assert main(["handshake", address]) == 3
    assert "cannot be reached" in capsys.readouterr().err


# An HTTP/2 server without TLS, gRPC's for instance, says SETTINGS to everybody.
SETTINGS: Final = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
NOT_TLS: Final[dict[str, tuple[AbstractContextManager[str], str]]] = {
    "plaintext HTTP": (plaintext_http(), "plaintext HTTP"),
    "HTTP/1.1": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "or a gRPC port without TLS"),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.6\r\n"), "SSH, not TLS"),
    "SMTP": (saying(b"220 mail.test ESMTP\r\n"), "STARTTLS"),
    "gRPC in plaintext": (saying(SETTINGS), "it may be a gRPC port without TLS"),
    "anything else": (saying(b"hello, world\r\n"), "not TLS. It began with: b'hello, world"),
    "nothing": (saying(b""), "closed on our first message, without an answer"),
}


@pytest.mark.parametrize(("server", "cause"), NOT_TLS.values(), ids=NOT_TLS)
def test_a_server_that_speaks_something_else(
    identity: Path, server: AbstractContextManager[str], cause: str
) -> None:
    with server as address:
        found = connect(address, "--identity", identity)
    assert (found.code, found.failed) == (1, ["tls.spoken"])
    assert cause in found.detail("tls.spoken")
    assert found.result("client.asked") == "skipped"


def test_a_server_that_says_nothing(identity: Path) -> None:
    with silent() as address:
        found = connect(address, "--identity", identity, "--timeout", "0.5")
    assert found.failed == ["tls.spoken"]
    assert "in 0.5 seconds nothing came" in found.detail("tls.spoken")


def test_a_handshake_in_vain_shows_what_was_said() -> None:
    with saying(b"hello, world\r\n") as address:
        code, shown = handshake(address)
    assert code == 1
    assert shown["messages"][0]["name"] == "ClientHello"
    assert shown["version"] is None
