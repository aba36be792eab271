"""X.509 extensions (RFC 5280, section 4.2): what a key may be used for, and for which names."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from pki.identities import DNS_NAMES, TRUST_DOMAIN


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

# A stolen issuing key can name no host and no service outside the demo. A URI constraint names a
# host, not a URI (RFC 5280, section 4.2.1.10). No constraint on IP addresses: below one, BoringSSL
# and so gRPC refuses every leaf that has an address ("unsupported name constraint type").
NAME_CONSTRAINTS: Final = x509.NameConstraints(
    permitted_subtrees=[
        *(x509.DNSName(name) for name in DNS_NAMES),
        x509.UniformResourceIdentifier(TRUST_DOMAIN),
    ],
    excluded_subtrees=None,
)


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
