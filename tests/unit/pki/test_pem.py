"""Whatever lies in a file, reading it fails in one way only."""

import base64
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from demo_identities import identity_named
from pki.authority import Authority
from pki.pem import key_pem, parse_certificates, parse_key
from pki.signing import is_issued_by

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def test_a_key_comes_back_as_it_was_written(authority: Authority) -> None:
    key = authority.issuing.key
    assert parse_key(key_pem(key)).private_numbers() == key.private_numbers()


def test_an_encrypted_key_is_not_taken(authority: Authority) -> None:
    encrypted = authority.issuing.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    with pytest.raises(ValueError, match="encrypted"):
        parse_key(encrypted)


def test_a_key_of_another_kind_is_not_taken() -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="neither an ECDSA nor an RSA key"):
        parse_key(pem)


@given(st.binary(max_size=300))
def test_noise_is_neither_a_key_nor_a_certificate(noise: bytes) -> None:
    for parse in (parse_key, parse_certificates):
        with pytest.raises(ValueError):  # noqa: PT011 - that it is this one is the claim
            parse(noise)


def test_every_bit_that_is_changed_breaks_the_certificate_or_its_signature(
    authority: Authority,
) -> None:
    """A bit outside of what is signed may be changed in vain; it must not crash us either."""
    leaf = authority.issue(identity_named("gateway")).certificate
    issuer = authority.issuing.certificate
    assert is_issued_by(leaf, issuer)
    start = der(leaf).index(leaf.tbs_certificate_bytes)
    signed = range(8 * start, 8 * (start + len(leaf.tbs_certificate_bytes)))
    for bit, certificate in enumerate(map(parse, changes(der(leaf)))):
        is_good = certificate is not None and is_issued_by(certificate, issuer)
        assert not is_good or bit not in signed, bit


def test_no_changed_bit_of_an_issuer_crashes_the_check(authority: Authority) -> None:
    """Among them are curves and algorithms that do not exist."""
    issuing = authority.issuing.certificate
    verdicts = {
        is_issued_by(issuing, root) for root in map(parse, changes(der(authority.root))) if root
    }
    assert verdicts == {True, False}


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def changes(content: bytes) -> Iterator[bytes]:
    """The content with each of its bits changed in turn."""
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def parse(content: bytes) -> x509.Certificate | None:
    body = base64.encodebytes(content)
    try:
        (certificate,) = parse_certificates(
            b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"
        )
    except ValueError:
        return None
    return certificate
