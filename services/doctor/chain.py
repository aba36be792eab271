"""A certificate, what came with it, and the path from it to a root that is trusted."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from mtls.certificates import Role, extension_of

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Chain:
    """Certificates as they are presented: the leaf, then its issuers.

    `roles` are what the leaf is used for, `name` is the host that is dialled (may be empty),
    `source` is a file or host:port, for messages. `is_strict` says whether RFC 5280 is taken to the
    letter, as Python 3.13 does.
    """

    certificates: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]
    roles: frozenset[Role]
    now: dt.datetime
    source: str
    name: str = ""
    is_strict: bool = True

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate whose key takes part in the handshake."""
        return self.certificates[0]

    @cached_property
    def path(self) -> tuple[x509.Certificate, ...]:
        """The leaf, its issuer, and so on, as OpenSSL chooses them, whatever their order.

        An issuer is found by its name and key identifier. Trusted certificates come first, and
        above one of them only trusted certificates count: a root that an older root has also signed
        is the end for a client that trusts it. The path ends below an issuer whose key did not
        make the signature.
        """
        path = [self.leaf]
        sent = self.certificates[1:]
        while not signs_itself(path[-1]):
            issuer = self._issuer_of(path, self.roots)
            if issuer is not None:
                sent = ()
            else:
                issuer = self._issuer_of(path, sent)
            if issuer is None or not is_issued_by(path[-1], issuer):
                break
            path.append(issuer)
        return tuple(path)

    def _issuer_of(
        self, path: list[x509.Certificate], candidates: tuple[x509.Certificate, ...]
    ) -> x509.Certificate | None:
        """Choose the first that is valid now, or else the one that is valid the longest."""
        fitting = [
            each for each in candidates if each not in path and is_named_issuer(path[-1], each)
        ]
        valid = (
            each
            for each in fitting
            if each.not_valid_before_utc <= self.now <= each.not_valid_after_utc
        )
        latest = max(fitting, key=lambda each: each.not_valid_after_utc, default=None)
        return next(valid, latest)

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The CAs on the path, the leaf's issuer first."""
        return self.path[1:]

    def extension(
        self, kind: type[ExtensionT], certificate: x509.Certificate | None = None
    ) -> ExtensionT | None:
        """Return this extension of the leaf, or of another certificate; None if it has none."""
        return extension_of(certificate or self.leaf, kind)


def is_named_issuer(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `subject` names `issuer`, and an authorityKeyIdentifier that fits it if it has one.

    The identifier may name the issuer's key, or its certificate (RFC 5280, section 4.2.1.1).
    """
    if subject.issuer != issuer.subject:
        return False
    wanted = extension_of(subject, x509.AuthorityKeyIdentifier)
    if wanted is None:
        return True
    has = extension_of(issuer, x509.SubjectKeyIdentifier)
    if wanted.key_identifier and has is not None and wanted.key_identifier != has.digest:
        return False
    if wanted.authority_cert_serial_number not in {None, issuer.serial_number}:
        return False
    names = [name.value for name in wanted.authority_cert_issuer or ()]
    directory_names = [name for name in names if isinstance(name, x509.Name)]
    return not directory_names or directory_names[0] == issuer.issuer


def signs_itself(certificate: x509.Certificate) -> bool:
    """Whether a certificate says that it is its own issuer: a root, or a lone leaf."""
    return is_named_issuer(certificate, certificate)


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


def join(items: Iterable[object]) -> str:
    """Join for a sentence, at most ten of them: the other side chooses how many there are."""
    listed = [str(item) for item in items]
    rest = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
    return ", ".join(listed[:10]) + rest
