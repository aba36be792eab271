"""A CA is used as long as it can do its work; what is wrong with it is said, with the way out."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from pki import ca_folder
from pki.authority import Authority
from pki.ca_folder import load_authority, write_authority
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
        load_authority(folder, now=now)
    assert "--force" in str(caught.value)
    return str(caught.value)


def test_comes_back_as_it_was_written(folder: Path, authority: Authority) -> None:
    loaded = load_authority(folder, now=NOW)
    assert loaded is not None
    assert loaded.ca_pem == authority.ca_pem
    assert loaded.issuing.certificate == authority.issuing.certificate
    assert loaded.root_key is not None
    loaded.issue(identity_named("gateway")).certificate.verify_directly_issued_by(
        authority.issuing.certificate
    )


def test_no_folder_or_an_empty_one_is_no_ca_yet(tmp_path: Path) -> None:
    assert load_authority(tmp_path, now=NOW) is None
    (tmp_path / "ca").mkdir()
    assert load_authority(tmp_path, now=NOW) is None


def test_works_without_the_roots_key(folder: Path, authority: Authority) -> None:
    (folder / "ca" / "ca-private-key.pem").unlink()
    loaded = load_authority(folder, now=NOW)
    assert loaded is not None
    assert loaded.root_key is None
    write_authority(folder, loaded)
    assert {path.name for path in (folder / "ca").iterdir()} == set(NEEDED)


@pytest.mark.parametrize("file", NEEDED)
def test_says_which_file_is_missing(folder: Path, file: str) -> None:
    (folder / "ca" / file).unlink()
    assert f"{file} is missing" in fault(folder)


@pytest.mark.parametrize("file", [*NEEDED, "ca-private-key.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x00\xff"])
def test_says_that_a_file_is_damaged(folder: Path, file: str, content: bytes) -> None:
    (folder / "ca" / file).write_bytes(content)
    assert "a file in it is damaged" in fault(folder)


def test_says_that_the_root_is_not_signed_by_itself(folder: Path, authority: Authority) -> None:
    (folder / "ca" / "ca-certificate.crt").write_bytes(
        certificate_pem(authority.issuing.certificate)
    )
    assert "the root certificate is not signed by itself" in fault(folder)


def test_says_that_another_root_signed_the_issuing_ca(folder: Path) -> None:
    (folder / "ca" / "ca-certificate.crt").write_bytes(Authority.create().ca_pem)
    assert "the issuing CA is not signed by the root" in fault(folder)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("issuing-private-key.pem", "the issuing CA's key does not fit"),
        ("ca-private-key.pem", "the root's key does not fit"),
    ],
)
def test_says_which_key_does_not_fit(folder: Path, file: str, words: str) -> None:
    (folder / "ca" / file).write_bytes(key_pem(Authority.create().issuing.key))
    assert words in fault(folder)


def test_says_that_it_may_not_sign_a_name_that_was_added(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = x509.NameConstraints([x509.DNSName("a-new-service")], None)
    monkeypatch.setattr(ca_folder, "NAME_CONSTRAINTS", more)
    assert "may not sign all the names" in fault(folder)


def test_says_that_it_expires_soon_while_a_longest_leaf_still_fits(tmp_path: Path) -> None:
    authority = Authority.create(now=NOW)
    write_authority(tmp_path, authority)
    end = authority.issuing.certificate.not_valid_after_utc
    assert load_authority(tmp_path, now=end - 91 * DAY) is not None
    assert "expires in less than 90 days" in fault(tmp_path, now=end - 89 * DAY)
    assert "expires in less than 90 days" in fault(tmp_path, now=end + DAY)


def test_says_that_the_clock_is_wrong(folder: Path) -> None:
    assert "not valid yet by the clock" in fault(folder, now=NOW - 2 * DAY)
