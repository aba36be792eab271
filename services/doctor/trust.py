"""Certificates out of PEM, and the CAs that the system trusts."""

import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from doctor.pem import CERTIFICATE, blocks

_MAX_CERTIFICATES: Final = 1000


def readable_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in PEM text. Raises `ValueError` if there is none or one is bad."""
    found = tuple(
        _readable(x509.load_pem_x509_certificate, block)
        for label, block in blocks(pem)[:_MAX_CERTIFICATES]
        if label == CERTIFICATE
    )
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def readable_certificate(der: bytes) -> x509.Certificate:
    """Read one certificate as it is sent. Raises `ValueError` if it is damaged."""
    return _readable(x509.load_der_x509_certificate, der)


def _readable(load: Callable[[bytes], x509.Certificate], content: bytes) -> x509.Certificate:
    """Read at once all that the library would parse only later, when nobody expects an error."""
    with warnings.catch_warnings():
        # Serial numbers that are not positive: against the rules, and found in trust stores.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            certificate = load(content)
            _ = certificate.subject, certificate.issuer, certificate.extensions
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except (
            x509.DuplicateExtension,
            x509.InvalidVersion,
            x509.UnsupportedGeneralNameType,
        ) as error:
            raise ValueError(str(error)) from error
    return certificate


@lru_cache(maxsize=1)
def system_roots() -> tuple[x509.Certificate, ...]:
    """Return the CAs that OpenSSL trusts on this machine by default; those it can read."""
    return tuple(_readable_system_roots())


def _readable_system_roots() -> Iterator[x509.Certificate]:
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else []
    if not files and paths.capath:
        files = sorted(Path(paths.capath).glob("*.0"))[:_MAX_CERTIFICATES]
    for file in files:
        for _, block in blocks(file.read_bytes()):
            with suppress(ValueError):  # a public root with an oddity is none of our concern
                yield _readable(x509.load_pem_x509_certificate, block)
