"""RFC 5280 to the letter: what Python 3.13 refuses by default and many libraries let pass.

The rules are those of OpenSSL's X509_V_FLAG_X509_STRICT; like there, they are for what a CA has
issued, not for a lone certificate that signs itself.
"""

from collections.abc import Callable
from typing import Final

from cryptography import x509

from doctor.chain import Chain, describe, extension_of
from doctor.checks import Check, Finding, failed, note, ok

Rule = tuple[Callable[[x509.Certificate], bool], str, str]


LENIENT: Final = ". To see what else there is, add --not-strict"


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension_of(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _is_critical(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(kind).critical
    except x509.ExtensionNotFound:
        return False


def _has_subject_key_identifier(certificate: x509.Certificate) -> bool:
    return (
        not _is_ca(certificate) or extension_of(certificate, x509.SubjectKeyIdentifier) is not None
    )


def _has_authority_key_identifier(certificate: x509.Certificate) -> bool:
    identifier = extension_of(certificate, x509.AuthorityKeyIdentifier)
    return identifier is not None and identifier.key_identifier is not None


def _signs_no_certificates_unless_ca(certificate: x509.Certificate) -> bool:
    usage = extension_of(certificate, x509.KeyUsage)
    return usage is None or not usage.key_cert_sign or _is_ca(certificate)


def _is_named(certificate: x509.Certificate) -> bool:
    if list(certificate.subject):
        return True
    return not _is_ca(certificate) and _is_critical(certificate, x509.SubjectAlternativeName)


# What must hold, what is wrong if it does not, and the extension that mends it.
_IDENTIFIERS: Final[tuple[Rule, ...]] = (
    (
        _has_subject_key_identifier,
        "has no subjectKeyIdentifier (RFC 5280, section 4.2.1.2)",
        "subjectKeyIdentifier = hash",
    ),
)
_AUTHORITY_IDENTIFIERS: Final[tuple[Rule, ...]] = (
    (
        _has_authority_key_identifier,
        "has no authorityKeyIdentifier (RFC 5280, section 4.2.1.1)",
        "authorityKeyIdentifier = keyid:always",
    ),
)
_TO_THE_LETTER: Final[tuple[Rule, ...]] = (
    (
        lambda each: not _is_ca(each) or _is_critical(each, x509.BasicConstraints),
        "is a CA whose basicConstraints are not critical (RFC 5280, section 4.2.1.9)",
        "basicConstraints = critical, CA:TRUE",
    ),
    (
        _signs_no_certificates_unless_ca,
        "has keyCertSign and is no CA (RFC 5280, section 4.2.1.3)",
        "keyUsage = critical, digitalSignature",
    ),
    (
        _is_named,
        "has an empty subject, which takes a critical subjectAltName (RFC 5280, section 4.1.2.6)",
        "subjectAltName = critical, ...",
    ),
    (
        lambda each: (
            not _is_critical(each, x509.AuthorityKeyIdentifier)
            and not _is_critical(each, x509.SubjectKeyIdentifier)
        ),
        "has a critical key identifier (RFC 5280, sections 4.2.1.1 and 4.2.1.2)",
        "authorityKeyIdentifier = keyid:always, not critical",
    ),
)


def _key_identifiers(chain: Chain) -> Finding:
    return (
        _judge(chain, chain.path, _IDENTIFIERS)
        or _judge(chain, chain.path[:-1], _AUTHORITY_IDENTIFIERS)  # a root needs none
        or ok("authorityKeyIdentifier and subjectKeyIdentifier are where they belong.")
    )


def _to_the_letter(chain: Chain) -> Finding:
    return _judge(chain, chain.path, _TO_THE_LETTER) or ok("RFC 5280 is kept to the letter.")


def _judge(
    chain: Chain, certificates: tuple[x509.Certificate, ...], rules: tuple[Rule, ...]
) -> Finding | None:
    if not chain.authorities:
        return None
    for certificate in certificates:
        for holds, wrong, extension in rules:
            if holds(certificate):
                continue
            found = failed if chain.is_strict else note
            return found(
                f"{describe(certificate)} {wrong}. Python 3.13 refuses it (VERIFY_X509_STRICT); "
                "gRPC, curl and older Python do not.",
                f"Have it issued again with this extension: {extension}"
                + (LENIENT if chain.is_strict else ""),
            )
    return None


STRICT_CHECKS: Final = (
    Check(
        "key_identifiers", "Certificates name their issuer's key, and CAs theirs", _key_identifiers
    ),
    Check("strict", "RFC 5280 is kept to the letter, as Python 3.13 wants it", _to_the_letter),
)
