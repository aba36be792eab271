"""client.p12 holds all that a browser needs, in the only form that every browser reads."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from demo_identities import identity_named
from pki.authority import Authority
from pki.errors import KeyUnreadable
from pki.identity_folder import read_identity, write_identity
from pki.pkcs12 import write_pkcs12

UPLOADER = identity_named("client/uploader")
# pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292, appendix C) and PBES2 (RFC 8018, appendix A.4), in DER.
PBE_SHA1_3DES = bytes.fromhex("060a2a864886f70d010c0103")
PBES2 = bytes.fromhex("06092a864886f70d01050d")


@pytest.fixture
def home(tmp_path: Path, authority: Authority) -> Path:
    write_identity(tmp_path, authority.issue(UPLOADER), authority.ca_pem)
    return tmp_path


def test_holds_key_leaf_issuing_ca_and_root(home: Path, authority: Authority) -> None:
    password = write_pkcs12(home, UPLOADER)
    bundle = load_pkcs12((home / "client.p12").read_bytes(), password.encode())
    held = read_identity(home)
    assert bundle.cert is not None
    assert bundle.cert.certificate == held.leaf
    assert bundle.key is not None
    assert bundle.key.public_key() == held.leaf.public_key()
    others = [each.certificate for each in bundle.additional_certs]
    assert others == [authority.issuing.certificate, authority.root]


def test_is_open_to_its_owner_alone(home: Path) -> None:
    write_pkcs12(home, UPLOADER)
    assert stat.S_IMODE((home / "client.p12").stat().st_mode) == 0o600


def test_opens_with_its_own_password_only(home: Path) -> None:
    first, second = write_pkcs12(home, UPLOADER), write_pkcs12(home, UPLOADER)
    content = (home / "client.p12").read_bytes()
    assert load_pkcs12(content, second.encode()).key
    for wrong in (first, ""):
        with pytest.raises(ValueError, match="Invalid password"):
            load_pkcs12(content, wrong.encode())


def test_uses_what_the_keychain_of_macos_reads(home: Path) -> None:
    write_pkcs12(home, UPLOADER)
    content = (home / "client.p12").read_bytes()
    assert PBE_SHA1_3DES in content
    assert PBES2 not in content


def test_says_that_the_key_is_another_users(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.suffix == ".pem":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(KeyUnreadable, match="run this as that user"):
        write_pkcs12(home, UPLOADER)
