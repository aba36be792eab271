"""What is wrong with the files is found at the start, and the error says what to do."""

import datetime as dt
import os
import stat
from collections.abc import Callable
from pathlib import Path

from mtls.certificates import Role
from mtls.identity import IdentityError, _is_private, load_identity
from mtls.peer import PeerError, _peer_from_pem
from mtls.rehearsal import rehearse_client, rehearse_grpc_server, rehearse_http_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

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


def test_puts_a_chain_in_order(folder: Path, authority: Authority, issued: Issued) -> None:
    """Each once, the leaf first, and no root."""
    leaf = issued.certificate.public_bytes(Encoding.PEM)
    replace_key_pair(folder, issued.key_pem + leaf + authority.ca_pem + issued.chain_pem)
    assert load_identity(folder, roles=BOTH).chain_pem == issued.chain_pem


def crlf(pem: bytes) -> bytes:
    return pem.replace(b"\n", b"\r\n")


def with_bom(pem: bytes) -> bytes:
    return b"\xef\xbb\xbf" + pem


def with_text(pem: bytes) -> bytes:
    return b"Bag Attributes\n  name\n" + pem.replace(b"-----BEGIN C", b"subject=CN=x\n-----BEGIN C")


def with_old_labels(pem: bytes) -> bytes:
    return pem.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-")


def with_parameters(pem: bytes) -> bytes:
    """As `openssl ecparam -genkey` writes a key."""
    return b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem


@pytest.mark.parametrize("write", [crlf, with_bom, with_text, with_old_labels, with_parameters])
def test_what_is_used_is_what_was_checked(
    folder: Path, authority: Authority, write: Callable[[bytes], bytes]
) -> None:
    """OpenSSL and BoringSSL read PEM otherwise than we do, and are given it anew."""
    (folder / "revoked.crl").write_bytes(authority.crl())
    expected = load_identity(folder, roles=BOTH)
    for name in ("key-pair.pem", "ca-certificate.crt", "revoked.crl"):
        path = folder / name
        path.write_bytes(write(path.read_bytes()))
    identity = load_identity(folder, roles=BOTH)
    assert identity == expected
    rehearse_http_server(identity)
    rehearse_grpc_server(identity)
    rehearse_client(identity)


def pem_of(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@pytest.mark.parametrize("first", [True, False])
def test_a_root_that_is_not_used_does_not_matter(
    folder: Path,
    authority: Authority,
    first: bool,  # noqa: FBT001
) -> None:
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    expired = Authority.create(IDENTITIES, now=long_ago).root
    assert expired.not_valid_after_utc < dt.datetime.now(dt.UTC)
    roots = [expired, authority.root] if first else [authority.root, expired]
    (folder / "ca-certificate.crt").write_bytes(pem_of(*roots))
    rehearse_http_server(load_identity(folder, roles=BOTH))
    (folder / "ca-certificate.crt").write_bytes(pem_of(expired))
    with pytest.raises(IdentityError, match="different authorities"):
        load_identity(folder, roles=BOTH)


def signed_by(signer: Authority, ca: x509.Certificate) -> x509.Certificate:
    """Return a CA certificate like this one, signed by the root of `signer`, for any path."""
    assert signer.root_key
    ski = signer.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
    builder = x509.CertificateBuilder(
        issuer_name=signer.root.subject,
        subject_name=ca.subject,
        public_key=ca.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=ca.not_valid_before_utc,
        not_valid_after=ca.not_valid_after_utc,
        extensions=[each for each in ca.extensions if not is_replaced(each)],
    )
    return (
        builder.add_extension(aki, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer.root_key, SHA256())
    )


def is_replaced(extension: x509.Extension[x509.ExtensionType]) -> bool:
    return isinstance(extension.value, x509.AuthorityKeyIdentifier | x509.BasicConstraints)


def test_a_chain_may_go_through_a_root_that_another_has_signed(
    folder: Path, authority: Authority, issued: Issued
) -> None:
    """As long as some trust the old root alone and some the new one, both have to be served."""
    new = Authority.create(IDENTITIES, generation=2)
    new_root, cross = signed_by(new, new.root), signed_by(new, authority.root)
    replace_key_pair(folder, issued.key_pair_pem + pem_of(cross))
    for roots in ([new_root], [authority.root], [authority.root, new_root]):
        (folder / "ca-certificate.crt").write_bytes(pem_of(*roots))
        identity = load_identity(folder, roles=BOTH)
        assert pem_of(cross) in identity.chain_pem
        rehearse_http_server(identity)
        rehearse_grpc_server(identity)
    replace_key_pair(folder, issued.key_pair_pem)
    (folder / "ca-certificate.crt").write_bytes(pem_of(new_root))
    with pytest.raises(IdentityError, match="the issuing CA is missing"):
        load_identity(folder, roles=BOTH)


@pytest.mark.parametrize(
    ("mode", "owner", "group", "private"),
    [
        (0o600, 1000, 1000, True),
        (0o400, 1000, 1000, True),
        (0o440, 0, 2000, True),  # Kubernetes, with fsGroup 2000
        (0o440, 0, 3000, False),  # another's group
        (0o440, 1000, 2000, False),  # somebody's own: chmod 600 helps
        (0o640, 0, 2000, False),
        (0o444, 0, 2000, False),
        (0o644, 1000, 1000, False),
    ],
)
def test_a_key_is_private(
    monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, group: int, *, private: bool
) -> None:
    monkeypatch.setattr(os, "getgroups", lambda: [2000])
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    assert _is_private(stat.S_IFREG | mode, owner, group) == private


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


def signed_anew(
    authority: Authority, issued: Issued, *extensions: tuple[x509.ExtensionType, bool]
) -> bytes:
    """Return the leaf with these extensions in the place of its own of the same kinds, as PEM."""
    leaf, kinds = issued.certificate, {type(value) for value, _ in extensions}
    builder = x509.CertificateBuilder(
        issuer_name=leaf.issuer,
        subject_name=leaf.subject,
        public_key=leaf.public_key(),
        serial_number=leaf.serial_number,
        not_valid_before=leaf.not_valid_before_utc,
        not_valid_after=leaf.not_valid_after_utc,
        extensions=[each for each in leaf.extensions if type(each.value) not in kinds],
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    signed = builder.sign(authority.issuing.key, SHA256())
    return pem_of(signed, authority.issuing.certificate)


def usage(**more: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        **{
            "digital_signature": True,
            "content_commitment": False,
            "key_encipherment": False,
            "data_encipherment": False,
            "key_agreement": False,
            "key_cert_sign": False,
            "crl_sign": False,
            "encipher_only": False,
            "decipher_only": False,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (usage(), ""),  # the twin of the others
        (x509.BasicConstraints(ca=True, path_length=None), "that of a CA"),
        (usage(key_cert_sign=True), "may sign certificates"),
        (usage(crl_sign=True), "may sign certificates or revocation lists"),
    ],
)
def test_a_leaf_that_may_sign_is_neither_a_peer_nor_our_own(
    folder: Path, authority: Authority, issued: Issued, extension: x509.ExtensionType, reason: str
) -> None:
    chain_pem = signed_anew(authority, issued, (extension, True))
    replace_key_pair(folder, issued.key_pem + chain_pem)
    if not reason:
        load_identity(folder, roles=BOTH)
        assert _peer_from_pem(chain_pem).name == "gateway"
        return
    with pytest.raises(IdentityError, match=reason):
        load_identity(folder, roles=BOTH)
    with pytest.raises(PeerError, match=reason):
        _peer_from_pem(chain_pem)


@pytest.mark.parametrize(
    "oid", [ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.AUTHORITY_INFORMATION_ACCESS]
)
def test_a_certificate_that_cannot_be_parsed_is_an_error_of_ours(
    folder: Path, authority: Authority, issued: Issued, oid: ObjectIdentifier
) -> None:
    """The CA has signed it, so that TLS lets it in: no other exception may come of it."""
    garbage = x509.UnrecognizedExtension(oid, b"\x30\x05\x86\x03\xff")
    leaf = issued.certificate
    builder = x509.CertificateBuilder(
        issuer_name=leaf.issuer,
        subject_name=leaf.subject,
        public_key=leaf.public_key(),
        serial_number=leaf.serial_number,
        not_valid_before=leaf.not_valid_before_utc,
        not_valid_after=leaf.not_valid_after_utc,
        extensions=[each for each in leaf.extensions if each.oid != oid],
    ).add_extension(garbage, critical=False)
    chain_pem = pem_of(builder.sign(authority.issuing.key, SHA256()), authority.issuing.certificate)
    replace_key_pair(folder, issued.key_pem + chain_pem)
    with pytest.raises(IdentityError, match="cannot be parsed"):
        load_identity(folder, roles=BOTH)
    with pytest.raises(PeerError, match="cannot be parsed"):
        _peer_from_pem(chain_pem)


def test_its_own_certificate_in_place_of_the_root_is_refused_with_a_reason(
    folder: Path, issued: Issued
) -> None:
    leaf = issued.certificate.public_bytes(Encoding.PEM)
    (folder / "ca-certificate.crt").write_bytes(leaf)
    identity = load_identity(folder, roles=BOTH)
    assert identity.chain_pem.startswith(leaf)
    with pytest.raises(IdentityError, match="unable to get"):
        rehearse_client(identity)
