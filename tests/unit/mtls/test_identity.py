"""What is wrong with the files is found at the start, and the error says what to do."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from mtls.certificates import Role
from mtls.identity import IdentityError, load_identity

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ObjectIdentifier

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.identities import CLIENT, SERVER
from pki.identity_folder import write_identity

BOTH = frozenset(Role)
GATEWAY = identity_named("gateway")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue(GATEWAY)


@pytest.fixture
def folder(tmp_path: Path, authority: Authority, issued: Issued) -> Path:
    write_identity(tmp_path, issued, authority.ca_pem)
    return tmp_path


def replace_key_pair(folder: Path, content: bytes) -> None:
    (folder / "key-pair.pem").write_bytes(content)  # keeps the mode


def test_loads_a_good_identity(folder: Path, authority: Authority, issued: Issued) -> None:
    identity = load_identity(folder, roles=BOTH)
    assert str(identity.spiffe_id) == "spiffe://video-demo.test/gateway"
    assert identity.chain_pem == issued.chain_pem
    assert identity.key_pem == issued.key_pem
    assert identity.ca_pem == authority.ca_pem


def test_never_shows_the_key(folder: Path) -> None:
    assert "PRIVATE KEY" not in repr(load_identity(folder, roles=BOTH))


@pytest.mark.parametrize("name", ["key-pair.pem", "ca-certificate.crt"])
@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b""), "holds no readable PEM"),
        (lambda path: path.write_bytes(b"\x00\xff" * 100), "holds no readable PEM"),
        (lambda path: path.write_bytes(b"a" * 70_000), "larger than 65536 bytes"),
    ],
)
def test_refuses_a_broken_file(
    folder: Path, name: str, spoil: Callable[[Path], object], advice: str
) -> None:
    spoil(folder / name)
    with pytest.raises(IdentityError, match=advice) as raised:
        load_identity(folder, roles=BOTH)
    assert name in str(raised.value)


def test_refuses_a_key_that_others_may_read(folder: Path) -> None:
    (folder / "key-pair.pem").chmod(0o640)
    with pytest.raises(IdentityError, match=r"open to others \(mode 0640\): chmod 600"):
        load_identity(folder, roles=BOTH)


def test_refuses_an_encrypted_key(folder: Path, issued: Issued) -> None:
    key = load_pem_private_key(issued.key_pem, password=None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    replace_key_pair(folder, encrypted + issued.chain_pem)
    with pytest.raises(IdentityError, match="the key is encrypted"):
        load_identity(folder, roles=BOTH)


def test_refuses_the_key_of_another_certificate(
    folder: Path, authority: Authority, issued: Issued
) -> None:
    replace_key_pair(folder, authority.issue(GATEWAY).key_pem + issued.chain_pem)
    with pytest.raises(IdentityError, match="the key is not that of the first certificate"):
        load_identity(folder, roles=BOTH)


def test_refuses_a_leaf_without_its_issuing_ca(folder: Path, issued: Issued) -> None:
    leaf = issued.certificate.public_bytes(Encoding.PEM)
    replace_key_pair(folder, issued.key_pem + leaf)
    with pytest.raises(IdentityError, match="the issuing CA is missing"):
        load_identity(folder, roles=BOTH)


def test_refuses_a_chain_out_of_order(folder: Path, authority: Authority, issued: Issued) -> None:
    leaf = issued.certificate.public_bytes(Encoding.PEM)
    replace_key_pair(folder, issued.key_pem + leaf + authority.ca_pem + issued.chain_pem)
    with pytest.raises(IdentityError, match="out of order"):
        load_identity(folder, roles=BOTH)


def test_refuses_a_root_of_another_authority(folder: Path) -> None:
    (folder / "ca-certificate.crt").write_bytes(Authority.create(IDENTITIES).ca_pem)
    with pytest.raises(IdentityError, match="different authorities"):
        load_identity(folder, roles=BOTH)


def test_refuses_before_and_after_its_time(folder: Path, issued: Issued) -> None:
    begin = issued.certificate.not_valid_before_utc
    end = issued.certificate.not_valid_after_utc
    second = dt.timedelta(seconds=1)
    load_identity(folder, roles=BOTH, now=begin)
    load_identity(folder, roles=BOTH, now=end)
    with pytest.raises(IdentityError, match="set this machine's clock"):
        load_identity(folder, roles=BOTH, now=begin - second)
    with pytest.raises(IdentityError, match="expired at"):
        load_identity(folder, roles=BOTH, now=end + second)


@pytest.mark.parametrize(
    ("usage", "good", "missing"),
    [(CLIENT, Role.CLIENT, Role.SERVER), (SERVER, Role.SERVER, Role.CLIENT)],
)
def test_refuses_a_purpose_that_the_certificate_lacks(
    tmp_path: Path, authority: Authority, usage: ObjectIdentifier, good: Role, missing: Role
) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY, ekus=[usage]), authority.ca_pem)
    load_identity(tmp_path, roles=frozenset({good}))
    with pytest.raises(IdentityError, match=f"extended key usage lacks {missing.value}"):
        load_identity(tmp_path, roles=frozenset({missing}))


def test_refuses_a_certificate_that_does_not_say_its_purpose(
    tmp_path: Path, authority: Authority
) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY, ekus=[]), authority.ca_pem)
    with pytest.raises(IdentityError, match="no extended key usage"):
        load_identity(tmp_path, roles=BOTH)


@pytest.mark.parametrize(
    ("uris", "advice"),
    [
        ([], "has 0 URI names"),
        ([GATEWAY.uri, "spiffe://video-demo.test/probe"], "has 2 URI names"),
        (["https://video-demo.test/gateway"], "begins with spiffe://"),
    ],
)
def test_refuses_a_certificate_without_one_spiffe_id(
    tmp_path: Path, authority: Authority, uris: list[str], advice: str
) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY, uris=uris), authority.ca_pem)
    with pytest.raises(IdentityError, match=advice):
        load_identity(tmp_path, roles=BOTH)
