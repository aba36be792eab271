"""A certificate, what came with it, and the path from it to a root that is trusted."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from mtls.certificates import Role

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Chain:
    """Certificates as they are presented: the leaf, then what vouches for it.

    `roles` are what the leaf has to be good for, `name` is the host that is dialled (may be empty),
    `source` is a file or host:port, for messages. `is_ours` is False for a peer's certificate, and
    `is_strict` says whether RFC 5280 is taken to the letter, as Python 3.13 does.
    """

    certificates: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]
    roles: frozenset[Role]
    now: dt.datetime
    source: str
    name: str = ""
    is_ours: bool = True
    is_strict: bool = True

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate whose key takes part in the handshake."""
        return self.certificates[0]

    @cached_property
    def path(self) -> tuple[x509.Certificate, ...]:
        """The leaf, its issuer, and so on as far as the signatures lead, whatever the order.

        Trusted certificates come first, as with OpenSSL: a root that has also been signed by an
        older one, to help those who know only that, is the end for whoever trusts it.
        """
        path = [self.leaf]
        pool = [*self.roots, *self.certificates[1:]]
        while not is_issued_by(path[-1], path[-1]):
            issuer = next((each for each in pool if is_issued_by(path[-1], each)), None)
            if issuer is None or issuer in path:
                break
            path.append(issuer)
        return tuple(path)

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The CAs on the path, the leaf's issuer first."""
        return self.path[1:]

    def extension(
        self, kind: type[ExtensionT], certificate: x509.Certificate | None = None
    ) -> ExtensionT | None:
        """Return this extension of the leaf, or of another certificate; None if it has none."""
        return extension_of(certificate or self.leaf, kind)


def extension_of(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    """Return the value of an extension; None if there is none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is named as the issuer of `subject` and its key made the signature."""
    if subject.issuer != issuer.subject:  # spares the arithmetic for most of a trust store
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except UnsupportedAlgorithm:
        return True  # SHA-1 or MD5: the names fit, and the check of signatures says the rest
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def describe(certificate: x509.Certificate) -> str:
    """Name a certificate for a person: its subject or, if that is empty, its serial number."""
    name = certificate.subject.rfc4514_string()
    return f'"{name}"' if name else f"the certificate with serial {certificate.serial_number:x}"


def join(words: Iterable[object]) -> str:
    """Join for a sentence, at most ten of them: whoever is examined has a say in how many."""
    listed = [str(word) for word in words]
    rest = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
    return ", ".join(listed[:10]) + rest
