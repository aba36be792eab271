"""Reading what a certificate says: the rules are the same for our own and for a peer's."""

from enum import Enum
from typing import Final, NamedTuple, TypeVar

from mtls.errors import MtlsError
from mtls.spiffe import SpiffeId

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

# An option of OpenSSL 3.2 and newer, for which the ssl module has no name: ask the peer for its
# certificate as it is, not compressed (RFC 8879). So nothing has to be decompressed that comes from
# somebody of whom nothing is known yet, and what reads the Certificate message finds one. Older
# versions have no such messages, and ignore it.
OP_NO_RX_CERTIFICATE_COMPRESSION: Final = 1 << 33


_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class CertificateError(MtlsError):
    """The certificate does not say what it must say."""


class Role(Enum):
    """What a certificate is for: its extended key usage (RFC 5280, section 4.2.1.12)."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


_PURPOSES: Final[dict[Role, ObjectIdentifier]] = {
    Role.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Role.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


class CertificateId(NamedTuple):
    """How a revocation list names a certificate: its issuer's name (DER), and its serial number."""

    issuer: bytes
    serial: int


def extension_of(
    holder: x509.Certificate | x509.CertificateRevocationList, kind: type[_Extension]
) -> _Extension | None:
    """Return the extension of this kind, or None."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def certificate_id_of(certificate: x509.Certificate) -> CertificateId:
    """Return the name by which `certificate` can be revoked."""
    return CertificateId(certificate.issuer.public_bytes(), certificate.serial_number)


def spiffe_id_of(certificate: x509.Certificate) -> SpiffeId:
    """Return the one SPIFFE ID in the subjectAltName; the common name is never looked at.

    Exactly one URI is allowed (X509-SVID specification, section 2): of two names, which one is
    meant? Raises `CertificateError`, or `SpiffeIdError` when the URI is not a SPIFFE ID.
    """
    if (names := extension_of(certificate, x509.SubjectAlternativeName)) is None:
        raise CertificateError("The certificate has no subjectAltName; it must name one SPIFFE ID.")
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CertificateError(
            f"The certificate has {len(uris)} URI names; it must have one, its SPIFFE ID."
        )
    return SpiffeId.parse(uris[0])


def check_purpose(certificate: x509.Certificate, role: Role) -> None:
    """Require that the certificate says what it is for.

    TLS libraries take a certificate without extended key usage for one that may do everything
    (RFC 5280, section 4.2.1.12). Here it may do nothing. Raises `CertificateError`.
    """
    if (usages := extension_of(certificate, x509.ExtendedKeyUsage)) is None:
        raise CertificateError(f"The certificate has no extended key usage; it needs {role.value}.")
    if _PURPOSES[role] not in usages:
        raise CertificateError(f"The certificate's extended key usage lacks {role.value}.")


def is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is named as the issuer of `subject`, and its key made the signature."""
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def check_leaf(certificate: x509.Certificate, *roles: Role) -> SpiffeId:
    """Return whose certificate it is; require that it is for `roles`, and may sign no others.

    The last is section 5.2 of the X509-SVID specification. Raises `CertificateError`, or
    `SpiffeIdError`.
    """
    for extension in certificate.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise CertificateError("The certificate is that of a CA, and not a leaf.")
            case x509.KeyUsage() as usage if usage.key_cert_sign or usage.crl_sign:
                raise CertificateError(
                    "The certificate may sign certificates or revocation lists: a leaf may not."
                )
    for role in roles:
        check_purpose(certificate, role)
    return spiffe_id_of(certificate)
