"""Peers and an identity as the rules see them, without a handshake."""

from math import inf
from pathlib import Path

from mtls.certificates import CertificateId
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.observer import NO_OBSERVER, Observer
from mtls.peer import Peer
from mtls.revocation import Revocations
from mtls.spiffe import SpiffeId

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority


def peer(text: str, *, serial: int = 1, expires_at: float = inf) -> Peer:
    """Return a peer of that SPIFFE ID, whose certificate never expires."""
    return Peer(SpiffeId.parse(text), CertificateId(b"issuer", serial), expires_at)


def source_with(
    revocations: Revocations | None = None, observer: Observer = NO_OBSERVER
) -> IdentitySource:
    """Return a server's identity with these revocation lists."""
    authority = Authority.create(IDENTITIES)
    issued = authority.issue(identity_named("video-queue"))
    return IdentitySource(
        Identity(
            SpiffeId.parse(identity_named("video-queue").uri),
            issued.certificate,
            chain_pem=issued.chain_pem,
            key_pem=issued.key_pem,
            ca_pem=authority.ca_pem,
            revocations=revocations,
            folder=Path(),
        ),
        observer,
    )
