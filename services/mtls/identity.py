"""Who am I: load my certificate, key, trusted roots and revocation lists, and check them.

A TLS library reports a bad file late and in few words, often only as a failed handshake. So
everything that can be known from the files is checked here, with an error that says what to do.
"""

import datetime as dt
import re
import stat
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from mtls.certificates import CertificateError, Role, check_purpose, spiffe_id_of
from mtls.errors import MtlsError
from mtls.revocation import REVOKED, RevocationError, Revocations
from mtls.spiffe import SpiffeId, SpiffeIdError

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# The key and its certificate lie in one file, so that a renewal replaces both in one rename
# and nobody ever loads the new key with the old certificate.
KEY_PAIR: Final = "key-pair.pem"
CA_CERTIFICATE: Final = "ca-certificate.crt"

_MAX_FILE_BYTES: Final = 64 * 1024
_PEM_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)


class IdentityError(MtlsError):
    """This folder does not hold a usable identity."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate, its private key, and the roots that we trust to vouch for our peers.

    `chain_pem` is the leaf followed by the issuing CA; the root is left out, since a peer that
    verifies us must have it already (RFC 8446, section 4.4.2). Without `revocations` nobody asks
    whether a peer's certificate was revoked.
    """

    spiffe_id: SpiffeId
    certificate: x509.Certificate
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
    revocations: Revocations | None
    folder: Path

    @property
    def serial(self) -> str:
        """The certificate's serial number, as it stands in logs and metrics."""
        return f"{self.certificate.serial_number:x}"


def load_identity(
    folder: Path, *, roles: frozenset[Role], now: dt.datetime | None = None
) -> Identity:
    """Load the identity in `folder` and check that it can do its job in every one of `roles`.

    Raises `IdentityError`, whose text names the file and says how to mend it.
    """
    path = folder / KEY_PAIR
    blocks = _read_private_blocks(path)
    chain_pem = b"".join(pem for label, pem in blocks if label == b"CERTIFICATE")
    key_pem = b"".join(pem for label, pem in blocks if label.endswith(b"PRIVATE KEY"))
    ca_pem = _read(folder / CA_CERTIFICATE)

    chain = _parse_certificates(path, chain_pem)
    roots = _parse_certificates(folder / CA_CERTIFICATE, ca_pem)
    leaf = chain[0]
    if _public_bytes(_parse_key(path, key_pem)) != _public_bytes(leaf):
        raise IdentityError(
            f"{path}: the key is not that of the first certificate. The leaf comes first, "
            "then the issuing CA; put the key beside the leaf that it belongs to."
        )
    _check_chain(path, chain, roots)
    now = now or dt.datetime.now(dt.UTC)
    _check_dates(folder, [*chain, *roots], now)
    revocations = _load_revocations(folder / REVOKED, now)
    try:
        for role in roles:
            check_purpose(leaf, role)
        spiffe_id = spiffe_id_of(leaf)
    except (CertificateError, SpiffeIdError) as error:
        raise IdentityError(f"{path}: {error} Have it issued again.") from error
    return Identity(spiffe_id, leaf, chain_pem, key_pem, ca_pem, revocations, folder)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise IdentityError(
            f"{path} cannot be read ({error.strerror}): make the certificates with "
            "scripts/bootstrap_certs.py, and run this program as the owner of the folder."
        ) from error
    if len(content) > _MAX_FILE_BYTES:
        raise IdentityError(f"{path} is larger than {_MAX_FILE_BYTES} bytes: copy it again.")
    return content


def _read_private_blocks(path: Path) -> list[tuple[bytes, bytes]]:
    """Return the PEM blocks of a file that nobody else may read, as (label, block)."""
    content = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise IdentityError(f"{path} is open to others (mode {mode:04o}): chmod 600 {path}")
    return [(block[1], block[0]) for block in _PEM_BLOCK.finditer(content)]


def _load_revocations(path: Path, now: dt.datetime) -> Revocations | None:
    if not path.exists():
        return None
    try:
        revocations = Revocations.parse(_read(path))
    except RevocationError as error:
        raise IdentityError(f"{path} {error}: copy it again.") from error
    if now > revocations.next_update:
        raise IdentityError(
            f"{path}: a newer list was due at {revocations.next_update:%F %T} UTC: "
            "see that what renews the certificates is running."
        )
    return revocations


def _parse_certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise IdentityError(f"{path} holds no readable PEM certificate: copy it again.") from error


def _parse_key(path: Path, pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise IdentityError(
            f"{path}: the key is encrypted, and a service has nobody to ask for the password. "
            "Decrypt it with `openssl pkey` and keep the file at mode 600."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"{path} holds no readable PEM private key: copy it again.") from error


def _public_bytes(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _check_chain(path: Path, chain: list[x509.Certificate], roots: list[x509.Certificate]) -> None:
    """Follow the signatures from the leaf to a root. Whether a CA may sign is for TLS to judge."""
    if not all(_is_issued_by(subject, issuer) for subject, issuer in pairwise(chain)):
        raise IdentityError(
            f"{path} is out of order: the leaf comes first, and behind each its issuer."
        )
    if not any(_is_issued_by(chain[-1], root) for root in roots):
        raise IdentityError(
            f"{path} does not lead to {CA_CERTIFICATE} beside it: the issuing CA is missing "
            "behind the leaf, or the two files come from different authorities."
        )


def _is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_dates(folder: Path, certificates: list[x509.Certificate], now: dt.datetime) -> None:
    for certificate in certificates:
        name = certificate.subject.rfc4514_string() or "the leaf"
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin:
            raise IdentityError(
                f"{folder}: {name} is not valid before {begin:%F %T} UTC: "
                "set this machine's clock, or wait."
            )
        if now > end:
            raise IdentityError(
                f"{folder}: {name} expired at {end:%F %T} UTC: "
                "have it issued again with scripts/bootstrap_certs.py."
            )
