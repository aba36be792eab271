"""The command line: what it takes, what it prints, and the exit codes that it promises."""

import getpass
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from demo_identities import IDENTITIES, identity_named
from doctor.command_line import main
from pki.authority import Authority
from pki.identities import CLIENT, SERVER
from pki.identity_folder import write_identity
from tests.unit.doctor.material import Made, leaf

SECRET: Final = b"correct horse"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    write_identity(tmp_path, authority.issue(identity_named("gateway")), authority.ca_pem)
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_our_own_identity_has_nothing_to_fix(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = doctor(capsys, "check", folder, "--name", "gateway")
    assert (code, found["exit_code"], found["failed"]) == (0, 0, [])
    assert {each["result"] for each in found["checks"]} == {"ok"}


def test_a_failure_is_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(capsys, "check", folder, "--name", "elsewhere.test")
    assert (code, found["exit_code"]) == (1, 1)
    assert found["failed"] == ["own.name", "own.openssl"]


def test_the_role_is_what_the_certificate_says_unless_one_is_given(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    issued = authority.issue(identity_named("gateway"), ekus=[SERVER])
    write_identity(tmp_path, issued, authority.ca_pem)
    assert doctor(capsys, "check", tmp_path)[0] == 0
    assert doctor(capsys, "check", tmp_path, "--role", "serverAuth")[0] == 0
    code, found = doctor(capsys, "check", tmp_path, "--role", "clientAuth")
    assert (code, found["failed"]) == (1, ["own.purpose", "own.openssl"])


def test_a_client_needs_no_host_name(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    issued = authority.issue(identity_named("probe"), ekus=[CLIENT])
    write_identity(tmp_path, issued, authority.ca_pem)
    code, found = doctor(capsys, "check", tmp_path)
    assert (code, found["failed"]) == (0, [])


def test_without_a_ca_what_it_leads_to_is_skipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = doctor(
        capsys, "check", "--cert", folder / "certificate.crt", "--key", folder / "private-key.pem"
    )
    results = {each["id"]: each["result"] for each in found["checks"]}
    assert code == 0
    assert results["own.root"] == results["own.openssl"] == "skipped"


def test_a_certificate_alone_is_looked_at_without_a_key(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no secret, so nothing is said of who may read it."""
    given = ["--cert", folder / "certificate.crt", "--ca", folder / "ca-certificate.crt"]
    (folder / "certificate.crt").chmod(0o644)
    code, found = doctor(capsys, "check", *given, "--name", "gateway")
    results = {each["id"]: each["result"] for each in found["checks"]}
    assert (code, found["failed"]) == (0, [])
    assert results["key.permissions"] == results["key.fits"] == "skipped"
    assert results["own.root"] == results["own.name"] == "ok"
    code, found = doctor(capsys, "check", *given, "--name", "elsewhere.test")
    assert (code, found["failed"]) == (1, ["own.name"])
    assert main(["connect", "localhost:1", *map(str, given)]) == 2
    assert "holds no private key: give it with --key" in capsys.readouterr().err


@pytest.fixture(scope="module")
def made() -> Made:
    return leaf()


@pytest.fixture
def bundle(tmp_path: Path, made: Made) -> Path:
    path = tmp_path / "client.p12"
    encryption = BestAvailableEncryption(SECRET)
    others = [*made.chain[1:], made.root.certificate]
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(None, made.key, made.certificate, others, encryption)
    )
    path.chmod(0o600)
    return path


def test_a_password_comes_from_a_file_or_the_environment(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "password").write_bytes(SECRET + b"\n")
    monkeypatch.setenv("P12_PASSWORD", SECRET.decode())
    by_file = doctor(capsys, "check", "--pkcs12", bundle, "--password-file", tmp_path / "password")
    by_name = doctor(capsys, "check", "--pkcs12", bundle, "--password-env", "P12_PASSWORD")
    assert by_file == by_name
    assert by_file[0] == 0
    (tmp_path / "password").write_bytes(b"wrong\n")
    wrong = doctor(capsys, "check", "--pkcs12", bundle, "--password-file", tmp_path / "password")
    assert (wrong[0], wrong[1]["failed"]) == (1, ["files.format"])


def test_a_password_is_asked_for_at_a_terminal(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return SECRET.decode()

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", answer)
    assert doctor(capsys, "check", "--pkcs12", bundle)[0] == 0
    assert asked == [f"Password of {bundle}: "]


def test_no_option_takes_the_password_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    text = capsys.readouterr().out
    assert "--password-file FILE" in text
    assert "--password-env NAME" in text
    assert "--password " not in text


@pytest.mark.parametrize("command", [["--help"], ["check", "--help"], ["connect", "--help"]])
def test_help_names_the_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(command)
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for code in ("0  nothing is wrong", "1  a check failed", "2  the command", "3  the server"):
        assert code in text


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["check"], "Say what to look at"),
        (["check", "folder", "--cert", "file"], "Give one certificate"),
        (["check", "folder", "--key", "file"], "--key goes with --cert"),
        (["check", "folder", "--password-file", "/nowhere"], "cannot be read"),
        (["check", "folder", "--password-env", "NO_SUCH_VARIABLE"], "is not set"),
        (["connect", "localhost"], "give HOST:PORT"),
        (["connect", "localhost:0"], "give HOST:PORT"),
        (["connect", "localhost:65536"], "give HOST:PORT"),
        (["connect", "::1:443"], "stands in brackets"),
        (["connect", "https://localhost:8443"], "it is a URL; give localhost:8443 instead"),
        (["connect", "https://localhost"], "give localhost:443 instead"),
        (["connect", "http://localhost/videos"], "localhost:80 instead, and its path with --http"),
        (["connect", "https://[::1]:8443/"], "give [::1]:8443 instead"),
        (["connect", "grpc://queue:50051"], "give queue:50051 instead"),
        (["connect", "https://localhost:port"], "cannot be dialled"),
        (["connect", ":443"], "give HOST:PORT"),
        (["connect", ".:443"], "is not a host name"),
        (["connect", "localhost:443", "--name", ".evil"], "'.evil' is not a host name"),
        (["connect", "localhost:443", "--name", "a" * 64], "is not a host name"),
        (["connect", "localhost:443", "--ca", "/nowhere"], "cannot be used"),
        (["handshake", "localhost:443", "--identity", "/nowhere"], "cannot be read"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_to_give(
    arguments: Sequence[str], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert cause in captured.err
    assert not captured.out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["connect", "localhost:1", "--http", "--grpc"],
        ["connect", "localhost:1", "--path", "no-slash"],
        ["connect", "localhost:1", "--path", "/a b"],
        ["connect", "localhost:1", "--path", "/a\r\nEvil: yes"],
        ["connect", "localhost:1", "--timeout", "0"],
        ["connect", "localhost:1", "--timeout", "nan"],
        ["connect", "localhost:1", "--timeout", "3600"],
        ["handshake", "localhost:1", "--tls", "1.1"],
    ],
)
def test_what_the_grammar_forbids_is_exit_code_2(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2


def test_starts_as_a_module_and_prints_for_people(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "doctor", "check", str(folder)],
        capture_output=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "services"), "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "✓ The key belongs to the certificate (key.fits)" in text
    assert text.endswith("Nothing is wrong here.\n")
