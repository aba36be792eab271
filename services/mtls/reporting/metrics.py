"""What is counted, for Prometheus. A stranger can make a number grow, but never add a new series.

Labels therefore hold what we have chosen ourselves: the names and methods of a policy table, our
own codes, our own certificates. Everything else is `other`.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

from mtls.identity import Identity
from mtls.peer import Peer
from mtls.policy import Policy

from cryptography import x509
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

OTHER: Final = "other"


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
            "Until the certificate expires; it is the leaf, the issuing CA or the root.",
            labels=["identity", "certificate", "serial"],
        )
        now = self._now()
        for name, identity in self._identities.items():
            for kind, certificate in _certificates(identity):
                left = (certificate.not_valid_after_utc - now).total_seconds()
                gauge.add_metric([name, kind, f"{certificate.serial_number:x}"], left)
        yield gauge


def _certificates(identity: Identity) -> Iterator[tuple[str, x509.Certificate]]:
    leaf, *issuers = x509.load_pem_x509_certificates(identity.chain_pem)
    yield "leaf", leaf
    for issuer in issuers:
        yield "issuing CA", issuer
    for root in x509.load_pem_x509_certificates(identity.ca_pem):
        yield "root", root


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        for standard in (ProcessCollector, PlatformCollector, GCCollector):
            standard(registry=self.registry)
        # gRPC's C-core says when it refuses a handshake and is silent when one succeeds, so
        # `accepted` exists for HTTP alone. Whom a gRPC server serves is seen in mtls_calls_total.
        self.handshakes: Final = Counter(
            "mtls_handshakes",
            "TLS handshakes by result: refused with a reason, or (not known of gRPC) accepted.",
            ["endpoint", "result", "reason"],
            registry=self.registry,
        )
        self.dropped: Final = Counter(
            "mtls_connections_dropped",
            "Connections closed before their handshake, by the limit that had been reached.",
            ["endpoint", "limit"],
            registry=self.registry,
        )
        self._calls: Final = Counter(
            "mtls_calls",
            "Calls by the caller's name, the method and the status code that it was answered with.",
            ["endpoint", "identity", "method", "code"],
            registry=self.registry,
        )
        self.renewals: Final = Counter(
            "mtls_renewals",
            "New files in our own identity's folder, taken over or refused.",
            ["identity", "result"],
            registry=self.registry,
        )
        self.expiry: Final = ExpiryCollector()
        self.registry.register(self.expiry)
        self.labels_of: Final = cache(CallLabels)  # one for each endpoint's policy
        self._call_counter = cache(self._calls.labels)  # quicker than looking one up

    def count_call(self, endpoint: str, identity: str, method: str, code: str) -> None:
        """Count a call that was answered with `code`; the labels are those of `labels_of`."""
        self._call_counter(endpoint, identity, method, code).inc()
