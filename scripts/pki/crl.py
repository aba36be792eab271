"""Certificate revocation lists (RFC 5280, section 5): which unexpired leaves are revoked."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from pki.pem import PrivateKey

_BLOCK: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked leaf: its serial number, since when (aware), and why, if known."""

    serial: int
    since: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    reason: x509.ReasonFlags | None = None


def sign_crl(
    issuer: x509.Certificate,
    key: PrivateKey,
    revoked: Iterable[Revoked],
    *,
    number: int,
    life: tuple[dt.datetime, dt.datetime],
) -> x509.CertificateRevocationList:
    """Sign a list of version 2; `number` may never be less than that of the list before."""
    this_update, next_update = life
    ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
        )
    )
    for each in revoked:
        builder = builder.add_revoked_certificate(_entry(each))
    return builder.sign(key, hashes.SHA256())


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(revoked.serial)
        .revocation_date(revoked.since)
    )
    if revoked.reason is not None:
        builder = builder.add_extension(x509.CRLReason(revoked.reason), critical=False)
    return builder.build()


def crl_pem(crl: x509.CertificateRevocationList) -> bytes:
    """Return the list as PEM text."""
    return crl.public_bytes(Encoding.PEM)


def parse_crls(pem: bytes) -> list[x509.CertificateRevocationList]:
    """Read all lists of a file. Raises `ValueError` if one is damaged."""
    return [x509.load_pem_x509_crl(block) for block in _BLOCK.findall(pem)]


def number_of(crl: x509.CertificateRevocationList) -> int:
    """Return the list's number. Raises `ExtensionNotFound` (RFC 5280, section 5.2.3)."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def revoked_in(crl: x509.CertificateRevocationList) -> dict[int, x509.ReasonFlags | None]:
    """Return the serial numbers that are listed, and why."""
    return {entry.serial_number: _reason(entry) for entry in crl}


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            return extension.value.reason
    return None
