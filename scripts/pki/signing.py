"""Signing a certificate: what root CA, issuing CA and leaf have in common."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from pki.pem import PrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA's certificate and private key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)


def is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is named as the issuer of `subject` and its key made the signature."""
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def distinguished_name(trust_domain: str, common_name: str) -> x509.Name:
    """Name a certificate for people (a browser's dialog); programs read the SAN alone."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def common_name(certificate: x509.Certificate) -> str:
    """Return the name for people; programs read the SAN alone."""
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


def trust_domain(certificate: x509.Certificate) -> str:
    """Return the trust domain that a certificate of ours was made for."""
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(attribute.value)


def sign_certificate(
    *,
    subject: x509.Name,
    key: PrivateKey,
    life: tuple[dt.datetime, dt.datetime],
    critical: Sequence[x509.ExtensionType],
    others: Sequence[x509.ExtensionType] = (),
    issuer: Signer | None = None,
) -> x509.Certificate:
    """Sign one certificate; without `issuer`, by its own key."""
    begin, end = life
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_ski = _ski(issuer.certificate) if issuer else ski
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_ski)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    for extension in (*others, ski, aki):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _ski(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
