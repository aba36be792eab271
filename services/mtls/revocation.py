"""Which certificates have been revoked before their time: the lists (CRLs, RFC 5280, section 5).

OpenSSL looks into them in every handshake. grpcio gives its TLS library no list, and nobody looks
again while a connection is open: for both, each call is checked again (peer.py).
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, Self

from mtls.certificates import CertificateId
from mtls.errors import MtlsError

from cryptography import x509

# One list for each issuing CA that is trusted, one behind the other.
REVOKED: Final = "revoked.crl"

_END: Final = b"-----END X509 CRL-----"


class RevocationError(MtlsError):
    """The revocation lists cannot be used."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """The certificates on the lists. Past `next_update` (aware) the lists say nothing any more."""

    pem: bytes
    certificates: frozenset[CertificateId] = field(repr=False)
    next_update: dt.datetime
    ends_at: float  # the same in seconds since 1970: it is compared with the clock in every call

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Read one list or several.

        They are believed because they lie in our own folder, as the root is; OpenSSL, which sees
        the issuer's certificate, checks their signatures too. Raises `RevocationError`.
        """
        blocks = [block + _END for block in pem.split(_END)[:-1]]
        try:
            lists = [x509.load_pem_x509_crl(block) for block in blocks]
            certificates = frozenset(
                CertificateId(crl.issuer.public_bytes(), entry.serial_number)
                for crl in lists
                for entry in crl
            )
        except ValueError as error:
            raise RevocationError("holds no readable PEM revocation list") from error
        ends = [crl.next_update_utc for crl in lists]
        if not ends or None in ends:
            raise RevocationError("holds no revocation list with a next update")
        end = min(filter(None, ends))
        return cls(pem, certificates, end, end.timestamp())
