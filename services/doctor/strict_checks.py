"""RFC 5280 to the letter: what Python 3.13 refuses by default and many libraries accept.

The rules are those of OpenSSL's X509_V_FLAG_X509_STRICT; as there, they apply to what a CA has
issued, not to a certificate that signs itself.
"""

from collections.abc import Callable
from typing import Final

from mtls.certificates import extension_of

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from doctor.chain import Chain, describe
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


def _has_key_usage_if_ca(certificate: x509.Certificate) -> bool:
    return not _is_ca(certificate) or extension_of(certificate, x509.KeyUsage) is not None


def _limits_paths_only_if_it_signs(certificate: x509.Certificate) -> bool:
    constraints = extension_of(certificate, x509.BasicConstraints)
    usage = extension_of(certificate, x509.KeyUsage)
    has_limit = constraints is not None and constraints.path_length is not None
    return not has_limit or usage is None or usage.key_cert_sign


def _has_names_in_its_san(certificate: x509.Certificate) -> bool:
    names = extension_of(certificate, x509.SubjectAlternativeName)
    return names is None or len(list(names)) > 0


def _is_named(certificate: x509.Certificate) -> bool:
    if list(certificate.subject):
        return True
    return not _is_ca(certificate) and _is_critical(certificate, x509.SubjectAlternativeName)


# What must hold, what is wrong if it does not, and the extension that fixes it.
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
        _limits_paths_only_if_it_signs,
        "limits the path below it and may not sign certificates (RFC 5280, section 4.2.1.9)",
        "keyUsage = critical, keyCertSign, cRLSign",
    ),
    (
        _has_names_in_its_san,
        "has a subjectAltName without a name (RFC 5280, section 4.2.1.6)",
        "subjectAltName = DNS:HOST",
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


# CAs on the path have a check of their own for this.
_OF_A_LEAF: Final[tuple[Rule, ...]] = (
    (
        _has_key_usage_if_ca,
        "is a CA without keyUsage (RFC 5280, section 4.2.1.3)",
        "keyUsage = critical, keyCertSign, cRLSign",
    ),
)


def _key_identifiers(chain: Chain) -> Finding:
    return (
        _judge(chain, chain.path, _IDENTIFIERS)
        or _judge(chain, chain.path[:-1], _AUTHORITY_IDENTIFIERS)  # a root needs none
        or ok("authorityKeyIdentifier and subjectKeyIdentifier are where they belong.")
    )


def _to_the_letter(chain: Chain) -> Finding:
    return (
        _judge(chain, chain.path, _TO_THE_LETTER)
        or _judge(chain, (chain.leaf,), _OF_A_LEAF)
        or ok("RFC 5280 is kept to the letter.")
    )


# What OpenSSL understands if it is critical (X509_supported_extension).
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ObjectIdentifier("2.16.840.1.113730.1.1"),  # Netscape certificate type
        ObjectIdentifier("1.3.6.1.5.5.7.1.7"),  # IP addresses (RFC 3779)
        ObjectIdentifier("1.3.6.1.5.5.7.1.8"),  # AS numbers (RFC 3779)
        ObjectIdentifier("1.3.6.1.5.5.7.1.14"),  # proxy certificates (RFC 3820)
    }
)


def _critical(chain: Chain) -> Finding:
    for certificate in chain.path:
        for extension in certificate.extensions:
            if extension.critical and extension.oid not in _UNDERSTOOD:
                return failed(
                    f"{describe(certificate)} has a critical extension that OpenSSL does not know: "
                    f"{extension.oid.dotted_string}. A program must refuse what it does not "
                    "understand (RFC 5280, section 4.2).",
                    "Have it issued again without that extension, or with it not critical.",
                )
    return ok("Every critical extension is known.")


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
    Check("critical", "Every critical extension is one that TLS libraries know", _critical),
    Check(
        "key_identifiers", "Certificates name their issuer's key, and CAs theirs", _key_identifiers
    ),
    Check("strict", "RFC 5280 is kept to the letter, as Python 3.13 wants it", _to_the_letter),
)
