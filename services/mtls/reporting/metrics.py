"""What is counted, for Prometheus. A stranger can make a number grow, but never add a new series.

Labels therefore hold what we have chosen ourselves: the names and methods of a policy table, our
own codes, our own certificates. Everything else is `other`.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Final

from mtls.identity import Identity
from mtls.peer import Peer
from mtls.policy import Policy

from cryptography import x509
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

OTHER: Final = "other"

# gRPC's C-core says when it refuses a handshake and is silent when one succeeds, so `accepted`
# exists for HTTP alone. Whom a gRPC server serves is seen in mtls_calls_total.
HANDSHAKES: Final = Counter(
    "mtls_handshakes",
    "TLS handshakes by result: refused with a reason, or (not known of gRPC) accepted.",
    ["endpoint", "result", "reason"],
)
DROPPED: Final = Counter(
    "mtls_connections_dropped",
    "Connections that were closed as soon as they came, by the limit that had been reached.",
    ["endpoint", "limit"],
)
CALLS: Final = Counter(
    "mtls_calls",
    "Calls by the caller's name, the method and the status code that it was answered with.",
    ["endpoint", "identity", "method", "code"],
)
RENEWALS: Final = Counter(
    "mtls_renewals",
    "New files in our own identity's folder, taken over or refused.",
    ["identity", "result"],
)


class CallLabels:
    """The labels of a call: only what `policy` names, and `other`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names = frozenset[str]().union(*policy.allowed.values())

    def identity(self, peer: Peer | None) -> str:
        """Return the peer's name if it is of our trust domain and may do anything at all."""
        if peer is None or peer.spiffe_id.trust_domain != self._policy.trust_domain:
            return OTHER
        return peer.name if peer.name in self._names else OTHER

    def method(self, method: str) -> str:
        """Return the method if the table has it."""
        return method if method in self._policy.allowed else OTHER


class ExpiryCollector(Collector):
    """How long our own certificates are still valid, as of the moment of the question."""

    def __init__(self, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._now = now
        self._identities: dict[str, Identity] = {}

    def track(self, identity: Identity) -> None:
        """Show this identity's certificates, in place of those that it had before."""
        self._identities[str(identity.spiffe_id)] = identity

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one gauge: seconds, negative when it is over."""
        gauge = GaugeMetricFamily(
            "mtls_certificate_expires_in_seconds",
            "Until the certificate expires; its place in the chain is leaf, issuing CA or root.",
            labels=["identity", "place", "serial"],
        )
        now = self._now()
        for name, identity in self._identities.items():
            for place, certificate in _places(identity):
                left = (certificate.not_valid_after_utc - now).total_seconds()
                gauge.add_metric([name, place, f"{certificate.serial_number:x}"], left)
        yield gauge


def _places(identity: Identity) -> Iterator[tuple[str, x509.Certificate]]:
    leaf, *issuers = x509.load_pem_x509_certificates(identity.chain_pem)
    yield "leaf", leaf
    for issuer in issuers:
        yield "issuing CA", issuer
    for root in x509.load_pem_x509_certificates(identity.ca_pem):
        yield "root", root


EXPIRY: Final = ExpiryCollector()
REGISTRY.register(EXPIRY)
