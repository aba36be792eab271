"""Certificates and keys as PEM text (RFC 7468), and back."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class KeyHasPassword(ValueError):
    """The key is encrypted, and there is nobody to ask for its password."""


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate as PEM text."""
    return certificate.public_bytes(Encoding.PEM)


def parse_certificates(pem: bytes) -> list[x509.Certificate]:
    """Read one certificate or more. Raises `ValueError` if there is none or one is damaged."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


def key_pem(key: PrivateKey) -> bytes:
    """Return the key as unencrypted PKCS #8: a service has nobody to ask for a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def parse_key(pem: bytes) -> PrivateKey:
    """Read an unencrypted key. Raises `KeyHasPassword`, or `ValueError` for anything else."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise KeyHasPassword(str(error)) from error
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("neither an ECDSA nor an RSA key")  # noqa: TRY004 - the content is wrong
    return key
