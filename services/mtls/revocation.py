"""Which certificates have been revoked before their end: the lists (CRLs, RFC 5280, section 5).

OpenSSL looks into them in every handshake. grpcio gives its TLS library no list, and no library
looks again while a connection is open: for both, each call is checked (peer.py).
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mtls.certificates import CertificateId, extension_of
from mtls.errors import MtlsError

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

# One list for each issuing CA that is trusted, one behind the other.
REVOKED: Final = "revoked.crl"

_BLOCK: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_KNOWN: Final = (x509.CRLNumber, x509.AuthorityKeyIdentifier)


class RevocationError(MtlsError):
    """The revocation lists cannot be used."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """The certificates on the lists. Past `next_update` (aware) the lists say nothing any more."""

    pem: bytes
    certificates: frozenset[CertificateId] = field(repr=False)
    next_update: dt.datetime
    ends_at: float  # the same in seconds since 1970: it is compared with the clock in every call
    lists: tuple[x509.CertificateRevocationList, ...] = field(default=(), repr=False, compare=False)
    # By the identity of the issuer's object, which is kept: to hash a certificate takes longer.
    _covered: dict[tuple[bytes, int], tuple[x509.Certificate | None, bool]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def parse(cls, pem: bytes) -> "Revocations":
        """Read one list or several, complete ones only. Raises `RevocationError`."""
        return _parse(pem)

    def covers(self, issuer_name: bytes, issuer: x509.Certificate | None = None) -> bool:
        """Whether there is a list of this CA; with its certificate, whether its key signed one.

        Without, the list speaks for every CA of the name (DER): OpenSSL has looked at signatures.
        """
        key = issuer_name, id(issuer)
        if (known := self._covered.get(key)) is None:
            lists = [each for each in self.lists if each.issuer.public_bytes() == issuer_name]
            found = any(issuer is None or _is_signed_by(each, issuer) for each in lists)
            known = self._covered[key] = issuer, found
        return known[1]

    def check(
        self, issuer: x509.Certificate, others: Iterable[x509.Certificate], now: dt.datetime
    ) -> None:
        """Raise `RevocationError` unless the lists can be used by a leaf of `issuer`.

        There has to be one of `issuer`, whose leaves our peers are, and the lists of `others` have
        to be their own.
        """
        if not self.covers(issuer.subject.public_bytes(), issuer):
            raise RevocationError(
                f"holds no list that {_name_of(issuer)} has signed, which issued our certificate: "
                "copy the list of that CA"
            )
        for crl in self.lists:
            cas = [each for each in others if _names(crl, each)]
            if cas and not any(_is_signed_by(crl, each) for each in cas):
                raise RevocationError(
                    f"holds a list in the name of {_name_of(cas[0])} that it has not signed: "
                    "copy the list again"
                )
            if now < crl.last_update_utc:
                raise RevocationError(
                    f"holds a list from {crl.last_update_utc:%F %T} UTC, which is in the future: "
                    "set this machine's clock"
                )
        if now > self.next_update:
            raise RevocationError(
                f": a newer list was due at {self.next_update:%F %T} UTC: "
                "see that what renews the certificates is running"
            )

    def check_not_older_than(self, before: "Revocations") -> None:
        """Raise `RevocationError` if a list is older than that of the same CA before."""
        for old in before.lists:
            for new in self.lists:
                if _is_of_same_ca(new, old) and _age_of(new) < _age_of(old):
                    raise RevocationError(
                        f"holds an older list of {new.issuer.rfc4514_string()} than the one in "
                        "use: put the newer one back"
                    )


@lru_cache(maxsize=2)  # a list may be large, and the files are read again every few seconds
def _parse(pem: bytes) -> Revocations:
    try:
        lists = tuple(x509.load_pem_x509_crl(block) for block in _BLOCK.findall(pem))
        for crl in lists:
            _check_complete(crl)
        certificates = frozenset(_revoked_by(lists))
    except (ValueError, x509.DuplicateExtension) as error:
        raise RevocationError("holds no readable PEM revocation list: copy it again") from error
    ends = [crl.next_update_utc for crl in lists]
    if not ends or None in ends:
        raise RevocationError("holds no revocation list with a next update: copy it again")
    end = min(filter(None, ends))
    # What OpenSSL is given is what was read, and not the file: it may have text around the lists.
    canonical = b"".join(crl.public_bytes(Encoding.PEM) for crl in lists)
    return Revocations(canonical, certificates, end, end.timestamp(), lists)


def _revoked_by(lists: Iterable[x509.CertificateRevocationList]) -> Iterator[CertificateId]:
    for crl in lists:
        issuer = crl.issuer.public_bytes()
        for entry in crl:
            yield CertificateId(issuer, entry.serial_number)


def _check_complete(crl: x509.CertificateRevocationList) -> None:
    """Require a list of all that its CA has revoked (RFC 5280, section 5.2)."""
    for extension in crl.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise RevocationError(
                "holds a delta list, which has only what is new since another: "
                "copy the complete list"
            )
        if extension.critical and not isinstance(extension.value, _KNOWN):
            raise RevocationError(
                f"holds a list with the critical extension {extension.oid.dotted_string}, which is "
                "for a part of the certificates: copy the complete list"
            )


def _is_signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # or TypeError
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False


def _names(crl: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    """Whether a list says that it is of this CA: two CAs may have one name, and not one key."""
    said = extension_of(crl, x509.AuthorityKeyIdentifier)
    own = extension_of(ca, x509.SubjectKeyIdentifier)
    same_key = not said or not own or said.key_identifier in {None, own.digest}
    return crl.issuer == ca.subject and same_key


def _age_of(crl: x509.CertificateRevocationList) -> tuple[int, dt.datetime]:
    """Return what grows from list to list: its number (RFC 5280, section 5.2.3), and its date."""
    number = extension_of(crl, x509.CRLNumber)
    return number.crl_number if number else -1, crl.last_update_utc


def _is_of_same_ca(
    new: x509.CertificateRevocationList, old: x509.CertificateRevocationList
) -> bool:
    keys = (extension_of(each, x509.AuthorityKeyIdentifier) for each in (new, old))
    return new.issuer == old.issuer and len({key and key.key_identifier for key in keys}) == 1


def _name_of(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
