"""A CA is used as long as it can do its work; what is wrong with it is said, with the way out."""

import datetime as dt
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.ca_folder import load_authorities, load_root_key, write_authority
from pki.errors import AuthorityUnusable
from pki.pem import PrivateKey, certificate_pem, key_pem
from tests.unit.pki.programs import SECONDS

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC) + DAY  # surely after the CA is made, which may be minutes from here
NEEDED = ("ca-certificate.crt", "issuing-certificate.crt", "issuing-private-key.pem")


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    write_authority(tmp_path, authority)
    return tmp_path


def fault(folder: Path, now: dt.datetime = NOW) -> str:
    with pytest.raises(AuthorityUnusable) as caught:
        load_authorities(folder, now=now)
    return str(caught.value)


def test_comes_back_as_it_was_written(folder: Path, authority: Authority) -> None:
    (loaded,) = load_authorities(folder, now=NOW)
    assert loaded.ca_pem == authority.ca_pem
    assert loaded.issuing.certificate == authority.issuing.certificate
    assert loaded.generation == authority.generation
    loaded.issue(identity_named("gateway")).certificate.verify_directly_issued_by(
        authority.issuing.certificate
    )


def test_no_folder_or_an_empty_one_is_no_ca_yet(tmp_path: Path) -> None:
    assert load_authorities(tmp_path, now=NOW) == []
    (tmp_path / "ca").mkdir()
    assert load_authorities(tmp_path, now=NOW) == []


def test_the_roots_key_lies_elsewhere_and_is_not_needed(folder: Path, authority: Authority) -> None:
    assert {path.name for path in (folder / "ca" / "1").iterdir()} == set(NEEDED)
    offline = folder / "offline-root"
    assert authority.root_key is not None
    assert (offline / "1" / "ca-private-key.pem").read_bytes() == key_pem(authority.root_key)
    assert [path.stat().st_mode & 0o777 for path in (offline, offline / "1")] == [0o700, 0o700]
    shutil.rmtree(offline)
    (loaded,) = load_authorities(folder, now=NOW)
    assert loaded.root_key is None


def test_the_oldest_of_two_comes_first(folder: Path) -> None:
    write_authority(folder, Authority.create(IDENTITIES, generation=10))
    write_authority(folder, Authority.create(IDENTITIES, generation=9))
    found = load_authorities(folder, now=NOW)
    assert [authority.generation for authority in found] == [1, 9, 10]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "ca-private-key.pem").write_text("a key that nobody may lose")
    told = fault(tmp_path)
    assert "older version" in told
    assert "Move it to another folder" in told
    assert "--force" not in told


@pytest.mark.parametrize("file", NEEDED)
@pytest.mark.parametrize(
    "content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x00\xff"]
)
def test_says_which_file_is_missing_or_damaged(
    folder: Path, file: str, content: bytes | None
) -> None:
    path = folder / "ca" / "1" / file
    path.unlink() if content is None else path.write_bytes(content)
    assert f"{path} is missing or damaged. Put " in fault(folder)


@pytest.mark.parametrize("file", ["ca-certificate.crt", "issuing-certificate.crt"])
def test_a_lost_certificate_costs_nothing(folder: Path, file: str) -> None:
    """Every identity has a copy, so nobody is told to make a new CA."""
    (folder / "ca" / "1" / file).unlink()
    told = fault(folder)
    assert "in the folder of every identity" in told
    assert "--" not in told


def test_a_lost_key_costs_the_issuing_ca_and_the_root_only_if_its_key_is_lost_too(
    folder: Path,
) -> None:
    (folder / "ca" / "1" / "issuing-private-key.pem").unlink()
    told = fault(folder)
    assert told.index("Put it back from a copy") < told.index("--new-issuing-ca")
    assert told.index("--new-issuing-ca") < told.index("If the key of the root is lost too")


def with_password(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def test_a_password_is_to_be_removed(folder: Path, authority: Authority) -> None:
    """What the message says to type makes the key usable."""
    path = folder / "ca" / "1" / "issuing-private-key.pem"
    path.write_bytes(with_password(authority.issuing.key))
    told = fault(folder)
    assert f"{path} has a password" in told
    assert "--" not in told
    _, _, command = told.partition("Remove it: ")
    typed = command.replace("openssl pkey", "openssl pkey -passin pass:secret")
    subprocess.run(["sh", "-c", typed], check=True, timeout=SECONDS)
    assert load_authorities(folder, now=NOW)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_roots_key_may_have_a_password_until_it_is_needed(
    folder: Path, authority: Authority
) -> None:
    assert authority.root_key
    path = folder / "offline-root" / "1" / "ca-private-key.pem"
    path.write_bytes(with_password(authority.root_key))
    assert load_authorities(folder, now=NOW)
    with pytest.raises(AuthorityUnusable, match="has a password"):
        load_root_key(folder, authority.root)


def test_says_that_the_root_is_not_signed_by_itself(folder: Path, authority: Authority) -> None:
    (folder / "ca" / "1" / "ca-certificate.crt").write_bytes(
        certificate_pem(authority.issuing.certificate)
    )
    assert "ca-certificate.crt is not signed by itself" in fault(folder)


def test_says_that_another_root_signed_the_issuing_ca(folder: Path) -> None:
    (folder / "ca" / "1" / "ca-certificate.crt").write_bytes(Authority.create(IDENTITIES).ca_pem)
    assert "the issuing CA is not signed by the root" in fault(folder)


def test_says_that_the_key_does_not_fit(folder: Path) -> None:
    other = key_pem(Authority.create(IDENTITIES).issuing.key)
    (folder / "ca" / "1" / "issuing-private-key.pem").write_bytes(other)
    assert "the key of the issuing CA does not fit" in fault(folder)


def test_is_used_until_the_end_of_its_root(folder: Path, authority: Authority) -> None:
    end = authority.root.not_valid_after_utc
    assert load_authorities(folder, now=end - DAY)
    assert "the root has expired" in fault(folder, now=end + DAY)


def test_says_that_the_clock_is_wrong(folder: Path) -> None:
    told = fault(folder, now=NOW - 2 * DAY)
    assert told.endswith("not valid yet by the clock of this machine. Set the clock.")
