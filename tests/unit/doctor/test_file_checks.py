"""What is wrong with the files themselves, and the command that fixes it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PublicFormat,
    pkcs12,
)

from doctor.checks import Checked, Examination, Result
from doctor.file_checks import FILE_CHECKS
from doctor.files import Files, from_files, from_folder, from_pkcs12
from tests.unit.doctor.material import LEAF, Made, leaf, make, openssl, run_shell

SECRET: Final = b"correct horse"


@pytest.fixture(scope="module")
def made() -> Made:
    return leaf()


@pytest.fixture
def files(made: Made, tmp_path: Path) -> Callable[[], Files]:
    """A good set of files; the function reads them anew."""
    (tmp_path / "chain.crt").write_bytes(made.chain_pem)
    (tmp_path / "leaf.key").write_bytes(made.key_pem())
    (tmp_path / "leaf.key").chmod(0o600)
    (tmp_path / "ca.crt").write_bytes(made.root.pem)
    return lambda: from_files(tmp_path / "chain.crt", tmp_path / "leaf.key", tmp_path / "ca.crt")


def examine(files: Files) -> dict[str, Checked]:
    examination = Examination()
    examination.run("", FILE_CHECKS, files)
    return {checked.id: checked for checked in examination.sections[""]}


def results(files: Files) -> dict[str, Result]:
    return {name: checked.finding.result for name, checked in examine(files).items()}


def test_good_files_pass_every_check(files: Callable[[], Files]) -> None:
    assert set(results(files()).values()) == {Result.OK}


def der_of(made: Made) -> bytes:
    return made.certificate.public_bytes(Encoding.DER)


def public_pem_of(made: Made) -> bytes:
    return made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


REQUEST: Final = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
SSH_KEY: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"

# File, what is in it instead, the check that fails, and part of the cause.
BROKEN: Final[dict[str, tuple[str, Callable[[Made], bytes], str, str]]] = {
    "an empty file": ("chain.crt", lambda _: b"", "files.readable", "cannot be read: empty"),
    "a file without end": (
        "ca.crt",
        lambda _: b"a" * 1_100_000,
        "files.readable",
        "larger than 1048576 bytes",
    ),
    "no PEM": ("ca.crt", lambda _: b"hello", "files.format", "is no PEM at all"),
    "DER": ("chain.crt", der_of, "files.format", "is binary (DER or PKCS #12)"),
    "UTF-16": (
        "chain.crt",
        lambda made: made.chain_pem.decode().encode("utf-16"),
        "files.format",
        "is UTF-16 text",
    ),
    "cut short": ("chain.crt", lambda made: made.chain_pem[:300], "files.format", "cut short"),
    "damaged inside": (
        "chain.crt",
        lambda made: made.chain_pem.replace(b"MII", b"MIJ", 1),
        "files.format",
        "damaged",
    ),
    "a request": ("chain.crt", lambda _: REQUEST, "files.format", "a request for a certificate"),
    "a public key": ("leaf.key", public_pem_of, "files.format", "the public half of a key"),
    "an SSH key": ("leaf.key", lambda _: SSH_KEY, "files.format", "an SSH key"),
    "a certificate for a key": (
        "leaf.key",
        lambda made: made.chain_pem,
        "files.format",
        "holds no private key, but CERTIFICATE",
    ),
    "a damaged key": (
        "leaf.key",
        lambda made: made.key_pem().replace(b"\nMI", b"\nMJ", 1),
        "key.encrypted",
        "cannot be opened",
    ),
    "an encrypted key": (
        "leaf.key",
        lambda made: made.key_pem(SECRET),
        "key.encrypted",
        "is encrypted, and no password was given",
    ),
    "another's key": (
        "leaf.key",
        lambda _: make(LEAF).key_pem(),
        "key.fits",
        "is not that of the certificate",
    ),
    "the leaf behind its issuer": (
        "chain.crt",
        lambda made: made.issuer.pem + made.pem if made.issuer else b"",
        "key.fits",
        "It is the key of certificate 2",
    ),
}


@pytest.mark.parametrize(("name", "content", "check", "cause"), BROKEN.values(), ids=BROKEN)
def test_finds_what_is_wrong_with_a_file(
    files: Callable[[], Files],
    made: Made,
    tmp_path: Path,
    name: str,
    content: Callable[[Made], bytes],
    check: str,
    cause: str,
) -> None:
    (tmp_path / name).write_bytes(content(made))
    found = examine(files())
    assert [each.id for each in found.values() if each.finding.result is Result.FAILED] == [check]
    assert cause in found[check].finding.detail
    assert found[check].finding.fix


def test_what_cannot_be_looked_at_is_skipped_and_says_why(
    files: Callable[[], Files], tmp_path: Path
) -> None:
    (tmp_path / "chain.crt").unlink()
    found = examine(files())
    assert found["files.readable"].finding.result is Result.FAILED
    assert "No such file" in found["files.readable"].finding.detail
    for check in ("files.format", "key.encrypted", "key.fits", "key.permissions"):
        assert found[check].finding.result is Result.SKIPPED
        assert found[check].finding.detail == "because files.readable failed"


def test_a_certificate_and_a_key_that_are_swapped(tmp_path: Path, made: Made) -> None:
    (tmp_path / "chain.crt").write_bytes(made.key_pem())
    (tmp_path / "leaf.key").write_bytes(made.chain_pem)
    found = examine(from_files(tmp_path / "chain.crt", tmp_path / "leaf.key", None))
    assert found["files.format"].finding.result is Result.FAILED
    assert "Swap them" in found["files.format"].finding.fix


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_key_that_others_may_read_is_fixed_by_the_command_given(
    files: Callable[[], Files], tmp_path: Path, mode: int
) -> None:
    (tmp_path / "leaf.key").chmod(mode)
    found = examine(files())["key.permissions"].finding
    assert found.result is Result.FAILED
    assert f"mode {mode:04o}" in found.detail
    run_shell(found.command, tmp_path)
    assert results(files())["key.permissions"] is Result.OK


@pytest.mark.parametrize(
    ("mode", "owner", "group", "expected"),
    [
        (0o440, 0, 10001, Result.OK),
        (0o440, 0, 10002, Result.FAILED),
        (0o440, 10001, 10001, Result.FAILED),
        (0o444, 0, 10001, Result.FAILED),
        (0o460, 0, 10001, Result.FAILED),
    ],
)
def test_a_key_that_kubernetes_mounts_for_our_group_is_ours_alone(
    files: Callable[[], Files],
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    owner: int,
    group: int,
    expected: Result,
) -> None:
    monkeypatch.setattr("os.getgroups", lambda: [10001])
    given = files()
    mounted = replace(given, key=replace(given.key, mode=mode, owner=owner, group=group))
    assert results(mounted)["key.permissions"] is expected


def test_an_encrypted_key_is_fixed_by_its_password(files: Callable[[], Files], made: Made) -> None:
    encrypted = files()
    encrypted.key.path.write_bytes(made.key_pem(SECRET))
    encrypted = files()
    assert encrypted.needs_password
    for password, result in ((SECRET, Result.NOTE), (b"wrong", Result.FAILED)):
        opened = Files(encrypted.certificate, encrypted.key, encrypted.ca, password)
        assert results(opened)["key.encrypted"] is result
    opened = Files(encrypted.certificate, encrypted.key, encrypted.ca, SECRET)
    assert results(opened)["key.fits"] is Result.OK


def test_der_is_fixed_by_the_command_given(
    files: Callable[[], Files], made: Made, tmp_path: Path
) -> None:
    (tmp_path / "chain.crt").write_bytes(der_of(made))
    run_shell(examine(files())["files.format"].finding.command, tmp_path)
    (tmp_path / "chain.crt.pem").rename(tmp_path / "chain.crt")
    assert results(files())["files.format"] is Result.OK


def test_a_ca_file_with_a_key_in_it_is_noted(
    files: Callable[[], Files], made: Made, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(made.root.pem + made.root.key_pem())
    assert results(files())["files.format"] is Result.NOTE


@pytest.mark.parametrize(
    ("certificate", "key", "ca"),
    [
        ("key-pair.pem", "key-pair.pem", "ca-certificate.crt"),
        ("certificate.crt", "private-key.pem", "ca-certificate.crt"),
        ("tls.crt", "tls.key", "ca.crt"),
        ("svid.pem", "svid_key.pem", "bundle.pem"),
        ("svid.pem", "svid_key.pem", "svid_bundle.pem"),
        ("svid.0.pem", "svid.0.key", "bundle.0.pem"),
        ("cert.pem", "key.pem", "ca.pem"),
    ],
)
def test_knows_the_folders_of_this_project_cert_manager_vault_and_spire(
    tmp_path: Path, made: Made, certificate: str, key: str, ca: str
) -> None:
    (tmp_path / certificate).write_bytes(made.chain_pem)
    with (tmp_path / key).open("ab") as file:
        file.write(made.key_pem())
    (tmp_path / key).chmod(0o600)
    (tmp_path / ca).write_bytes(made.root.pem)
    files = from_folder(tmp_path, None)
    assert set(results(files).values()) == {Result.OK}
    assert files.ca
    assert files.ca.path == tmp_path / ca


def test_a_folder_of_another_program_need_not_have_a_ca(tmp_path: Path, made: Made) -> None:
    (tmp_path / "fullchain.pem").write_bytes(made.chain_pem)
    (tmp_path / "privkey.pem").write_bytes(made.key_pem())
    (tmp_path / "privkey.pem").chmod(0o600)
    assert set(results(from_folder(tmp_path, None)).values()) == {Result.OK}
    (tmp_path / "certificate.crt").write_bytes(made.chain_pem)
    (tmp_path / "key-pair.pem").write_bytes(made.key_pem() + made.chain_pem)
    assert results(from_folder(tmp_path, None))["files.readable"] is Result.FAILED  # ours has one


@pytest.fixture
def bundle(tmp_path: Path, made: Made) -> Path:
    path = tmp_path / "client.p12"
    others = [*made.chain[1:], made.root.certificate]
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"leaf",
            made.key,
            made.certificate,
            others,
            BestAvailableEncryption(SECRET),
        )
    )
    path.chmod(0o600)
    return path


def test_pkcs12_is_taken_as_it_is(bundle: Path, made: Made) -> None:
    locked = from_pkcs12(bundle, None)
    assert locked.needs_password
    opened = Files(locked.certificate, locked.key, None, SECRET, is_pkcs12=True)
    assert set(results(opened).values()) == {Result.OK}
    assert opened.certificates == made.chain
    assert opened.roots == (made.root.certificate,)


def test_pkcs12_with_a_wrong_password_says_so(bundle: Path) -> None:
    locked = from_pkcs12(bundle, None)
    opened = Files(locked.certificate, locked.key, None, b"wrong", is_pkcs12=True)
    found = examine(opened)["files.format"].finding
    assert found.result is Result.FAILED
    assert "password" in found.fix


def test_pkcs12_without_a_key(tmp_path: Path, made: Made) -> None:
    (tmp_path / "leaf.crt").write_bytes(made.pem)
    openssl("pkcs12", "-export", "-nokeys", "-in", "leaf.crt", "-out", "leaf.p12",
            "-passout", "pass:", folder=tmp_path)  # fmt: skip
    file = from_pkcs12(tmp_path / "leaf.p12", None)
    opened = Files(file.certificate, file.key, None, b"", is_pkcs12=True)
    found = examine(opened)["files.format"].finding
    assert found.result is Result.FAILED
    assert "no private key" in found.detail
