"""X.509 extensions (RFC 5280, section 4.2): what a key may be used for, and for which names."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


CA_KEY_USAGE: Final = _key_usage(certificates=True)

# In TLS 1.3 an end entity does nothing but sign the handshake, with RSA keys too
# (RFC 8446, section 4.4.2.2), so no leaf may encipher keys.
LEAF_KEY_USAGE: Final = _key_usage(certificates=False)

# The issuing CA signs leaves for TLS alone. Verifiers demand of every CA below the root that it may
# be used for what the leaf is used for (OpenSSL, BoringSSL, Go), so a stolen key signs no code.
CA_EXTENDED_KEY_USAGE: Final = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
)

_EVERY_IP_ADDRESS: Final = (
    x509.IPAddress(IPv4Network("0.0.0.0/0")),
    x509.IPAddress(IPv6Network("::/0")),
)
# There is no way to exclude every e-mail address that all verifiers know; to permit only those of a
# host that cannot exist (RFC 6761, section 6.4) comes to the same.
_NO_EMAIL_ADDRESS: Final = x509.RFC822Name("none.invalid")


def name_constraints(dns_names: Iterable[str]) -> x509.NameConstraints:
    """Return the constraint to these host names (RFC 5280, section 4.2.1.10).

    It binds only the kinds of names that it mentions, so it mentions IP and e-mail addresses too,
    to refuse them all. It does not mention URIs: Chromium, Firefox and pyca/cryptography refuse a
    chain with a constraint of that kind. The trust domain is checked by every peer instead.
    """
    return x509.NameConstraints(
        permitted_subtrees=[*map(x509.DNSName, dns_names), _NO_EMAIL_ADDRESS],
        excluded_subtrees=_EVERY_IP_ADDRESS,
    )


def permitted_dns_names(constraints: x509.NameConstraints) -> frozenset[str]:
    """Return the host names that a CA with these constraints may sign."""
    names = constraints.permitted_subtrees or ()
    return frozenset(name.value for name in names if isinstance(name, x509.DNSName))


def extended_key_usage(ekus: Sequence[ObjectIdentifier]) -> list[x509.ExtendedKeyUsage]:
    """Return the extension as a list of one, or of none: an empty extension is not valid."""
    return [x509.ExtendedKeyUsage(ekus)] if ekus else []


def subject_alternative_name(
    *, uris: Sequence[str], dns_names: Sequence[str]
) -> list[x509.SubjectAlternativeName]:
    """Return the extension as a list of one, or of none: an empty extension is not valid."""
    names = [
        *map(x509.UniformResourceIdentifier, uris),
        *map(x509.DNSName, dns_names),
    ]
    return [x509.SubjectAlternativeName(names)] if names else []
