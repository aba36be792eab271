"""A CA is used as long as it can do its work; what is wrong with it is said, with the way out."""

import datetime as dt
import shutil
from pathlib import Path

import pytest
from cryptography import x509

from pki import ca_folder
from pki.authority import Authority
from pki.ca_folder import load_authorities, write_authority
from pki.errors import AuthorityUnusable
from pki.identities import identity_named
from pki.pem import certificate_pem, key_pem

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
    assert "--force" in str(caught.value)
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
    write_authority(folder, Authority.create(generation=10))
    write_authority(folder, Authority.create(generation=9))
    found = load_authorities(folder, now=NOW)
    assert [authority.generation for authority in found] == [1, 9, 10]


def test_says_that_the_folder_is_of_an_older_version(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "ca-private-key.pem").write_text("a key that is to be lost to nobody")
    assert "older version" in fault(tmp_path)


@pytest.mark.parametrize("file", NEEDED)
def test_says_which_file_is_missing(folder: Path, file: str) -> None:
    (folder / "ca" / "1" / file).unlink()
    assert f"{file} is missing" in fault(folder)


@pytest.mark.parametrize("file", NEEDED)
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x00\xff"])
def test_says_that_a_file_is_damaged(folder: Path, file: str, content: bytes) -> None:
    (folder / "ca" / "1" / file).write_bytes(content)
    assert "a file in it is damaged" in fault(folder)


def test_says_that_the_root_is_not_signed_by_itself(folder: Path, authority: Authority) -> None:
    (folder / "ca" / "1" / "ca-certificate.crt").write_bytes(
        certificate_pem(authority.issuing.certificate)
    )
    assert "the root certificate is not signed by itself" in fault(folder)


def test_says_that_another_root_signed_the_issuing_ca(folder: Path) -> None:
    (folder / "ca" / "1" / "ca-certificate.crt").write_bytes(Authority.create().ca_pem)
    assert "the issuing CA is not signed by the root" in fault(folder)


def test_says_that_the_key_does_not_fit(folder: Path) -> None:
    other = key_pem(Authority.create().issuing.key)
    (folder / "ca" / "1" / "issuing-private-key.pem").write_bytes(other)
    assert "the issuing CA's key does not fit" in fault(folder)


def test_says_that_it_may_not_sign_a_name_that_was_added(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = x509.NameConstraints([x509.DNSName("a-new-service")], None)
    monkeypatch.setattr(ca_folder, "NAME_CONSTRAINTS", more)
    assert "may not sign all the names" in fault(folder)


def test_is_used_until_its_end(folder: Path, authority: Authority) -> None:
    end = authority.issuing.certificate.not_valid_after_utc
    assert load_authorities(folder, now=end - DAY)
    assert "it has expired" in fault(folder, now=end + DAY)


def test_says_that_the_clock_is_wrong(folder: Path) -> None:
    assert "not valid yet by the clock" in fault(folder, now=NOW - 2 * DAY)
