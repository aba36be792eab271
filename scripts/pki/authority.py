"""How a certificate is made: root CA, issuing CA, leaf, each a short list of facts to sign.

authority = Authority.create(identities)
gateway = authority.issue(identities.named("gateway"))
expired = authority.issue(identities.named("gateway"), not_after=an_hour_ago)
impostor = Authority.create(identities)  # the same name on every certificate, but other keys
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ObjectIdentifier

from pki.crl import Revoked, crl_pem, sign_crl
from pki.extensions import (
    CA_EXTENDED_KEY_USAGE,
    CA_KEY_USAGE,
    LEAF_KEY_USAGE,
    extended_key_usage,
    name_constraints,
    permitted_dns_names,
    subject_alternative_name,
)
from pki.identities import Identities, Identity
from pki.pem import PrivateKey, certificate_pem, key_pem
from pki.signing import Signer, distinguished_name, sign_certificate

KeyType = Literal["ec", "rsa"]

NEW_KEY: Final[Mapping[KeyType, Callable[[], PrivateKey]]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}

ROOT_LIFE: Final = dt.timedelta(days=10 * 365)
ISSUING_LIFE: Final = dt.timedelta(days=3 * 365)
LEAF_LIFE: Final = dt.timedelta(hours=24)

# How long before its end a CA is replaced: the longest life of a leaf, and time to fetch a key.
RESERVE: Final = dt.timedelta(days=90)

# The clock of a peer may be a little behind ours.
BACKDATE: Final = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Issued:
    """A leaf and what its owner needs to use it: `chain_pem` is leaf + issuing CA."""

    certificate: x509.Certificate
    chain_pem: bytes
    key_pem: bytes = field(repr=False)

    @property
    def key_pair_pem(self) -> bytes:
        """What key-pair.pem holds: the key and the chain."""
        return self.key_pem + self.chain_pem


@dataclass(frozen=True, slots=True)
class Authority:
    """The root that everybody trusts, and an issuing CA below it that signs leaves.

    `root_key` is needed only to make an issuing CA, so it may be None: kept elsewhere. The
    `generation` counts the issuing CAs. It is in their names, and in that of a root that is made
    with one, to tell the old from the new while both are in use.
    """

    root: x509.Certificate
    issuing: Signer
    root_key: PrivateKey | None = field(default=None, repr=False)
    generation: int = 1

    @classmethod
    def create(
        cls,
        identities: Identities,
        *,
        key_type: KeyType = "ec",
        now: dt.datetime | None = None,
        generation: int = 1,
    ) -> Self:
        """Make a new root and a new issuing CA, valid from `now` (aware; default: the clock)."""
        begin = (now or dt.datetime.now(dt.UTC)) - BACKDATE
        root_key = NEW_KEY[key_type]()
        root = sign_certificate(
            subject=_name_of_ca(identities, "root CA", generation),
            key=root_key,
            life=(begin, begin + ROOT_LIFE),
            critical=[x509.BasicConstraints(ca=True, path_length=1), CA_KEY_USAGE],
        )
        issuing = _issuing_ca(Signer(root, root_key), identities, key_type, begin, generation)
        return cls(root, issuing, root_key, generation)

    @classmethod
    def below(cls, root: Signer, identities: Identities, *, generation: int) -> Self:
        """Make another issuing CA below a root that there is, with a key of the same type."""
        begin = dt.datetime.now(dt.UTC) - BACKDATE
        key_type: KeyType = "rsa" if isinstance(root.key, rsa.RSAPrivateKey) else "ec"
        issuing = _issuing_ca(root, identities, key_type, begin, generation)
        return cls(root.certificate, issuing, generation=generation)

    @property
    def permitted_dns_names(self) -> frozenset[str]:
        """The host names that the issuing CA may sign."""
        extensions = self.issuing.certificate.extensions
        return permitted_dns_names(extensions.get_extension_for_class(x509.NameConstraints).value)

    @property
    def ca_pem(self) -> bytes:
        """The root certificate: what a peer needs to trust what this authority issues."""
        return certificate_pem(self.root)

    def issue(
        self,
        identity: Identity,
        *,
        life: dt.timedelta = LEAF_LIFE,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        ekus: Sequence[ObjectIdentifier] | None = None,
        uris: Sequence[str] | None = None,
        dns_names: Sequence[str] | None = None,
        key_type: KeyType = "ec",
    ) -> Issued:
        """Make a key and a leaf for `identity`, valid from five minutes ago and for `life`.

        Every other argument replaces what `identity` says, to make certificates that must be
        refused; an empty sequence leaves it out. Dates are aware. The leaf ends with the issuing
        CA at the latest: past that nobody could verify it (RFC 5280, section 6.1.3).
        """
        now = dt.datetime.now(dt.UTC)
        end = min(
            not_after or now + life,
            self.issuing.certificate.not_valid_after_utc,
        )
        key = NEW_KEY[key_type]()
        leaf = sign_certificate(
            subject=distinguished_name(identity.trust_domain, identity.name),
            key=key,
            life=(not_before or min(now, end) - BACKDATE, end),
            critical=[x509.BasicConstraints(ca=False, path_length=None), LEAF_KEY_USAGE],
            others=[
                *extended_key_usage(identity.ekus if ekus is None else ekus),
                *subject_alternative_name(
                    uris=[identity.uri] if uris is None else uris,
                    dns_names=identity.dns_names if dns_names is None else dns_names,
                ),
            ],
            issuer=self.issuing,
        )
        chain_pem = certificate_pem(leaf) + certificate_pem(self.issuing.certificate)
        return Issued(leaf, chain_pem, key_pem(key))

    def crl(
        self,
        revoked: Iterable[Revoked] = (),
        *,
        next_update: dt.datetime | None = None,
        number: int | None = None,
    ) -> bytes:
        """Sign a revocation list of the issuing CA, as PEM, valid from five minutes ago.

        Nobody accepts it after `next_update` (aware; default: in a day). `number`
        tells a newer list from an older one; by default it is the time in microseconds.
        """
        now = dt.datetime.now(dt.UTC)
        end = next_update or now + LEAF_LIFE
        crl = sign_crl(
            self.issuing.certificate,
            self.issuing.key,
            revoked,
            number=number or int(now.timestamp() * 1_000_000),
            life=(min(now, end) - BACKDATE, end),
        )
        return crl_pem(crl)


def _issuing_ca(
    root: Signer,
    identities: Identities,
    key_type: KeyType,
    begin: dt.datetime,
    generation: int,
) -> Signer:
    key = NEW_KEY[key_type]()
    certificate = sign_certificate(
        subject=_name_of_ca(identities, "issuing CA", generation),
        key=key,
        life=(begin, min(begin + ISSUING_LIFE, root.certificate.not_valid_after_utc)),
        critical=[
            x509.BasicConstraints(ca=True, path_length=0),
            CA_KEY_USAGE,
            name_constraints(identities.dns_names),
        ],
        others=[CA_EXTENDED_KEY_USAGE],
        issuer=root,
    )
    return Signer(certificate, key)


def _name_of_ca(identities: Identities, kind: str, generation: int) -> x509.Name:
    number = "" if generation == 1 else f" {generation}"
    return distinguished_name(identities.trust_domain, f"{identities.trust_domain} {kind}{number}")
