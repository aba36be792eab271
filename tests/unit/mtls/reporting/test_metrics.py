import datetime as dt
from collections.abc import Callable
from pathlib import Path

from mtls.authorizer import Authorizer
from mtls.certificates import Role
from mtls.identity import Identity, load_identity
from mtls.peer import Peer, PeerError
from mtls.policy import Denied, Policy
from mtls.reporting.events import Reporter
from mtls.reporting.metrics import OTHER, CallLabels, ExpiryCollector, Metrics

import pytest
import structlog
from prometheus_client import CollectorRegistry

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity
from tests.unit.mtls.peers import peer, source_with

CALL = "/my.v1.Service/Call"
ALLOWED = {CALL: {"gateway"}}
POLICY = Policy("video-demo.test", ALLOWED)
NOW = dt.datetime.now(dt.UTC)


GATEWAY = peer("spiffe://video-demo.test/gateway")


@pytest.mark.parametrize(
    ("caller", "label"),
    [
        (GATEWAY, "gateway"),
        (peer("spiffe://video-demo.test/somebody"), OTHER),
        (peer("spiffe://elsewhere.test/gateway"), OTHER),
        (None, OTHER),
    ],
)
def test_a_caller_has_a_series_only_if_the_policy_names_it(caller: Peer | None, label: str) -> None:
    assert CallLabels(POLICY).identity(caller) == label


def test_a_method_has_a_series_only_if_the_policy_names_it() -> None:
    assert CallLabels(POLICY).method(CALL) == CALL
    assert CallLabels(POLICY).method("/my.v1.Service/MadeUp") == OTHER


def counted(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.labels["identity"], sample.labels["method"], sample.labels["code"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "mtls_calls_total"
    }


def test_strangers_calls_are_counted_without_new_series() -> None:
    reporter = Reporter()
    authorizer = Authorizer("grpc", ALLOWED, source_with(observer=reporter))
    for number in range(100):
        authorizer.finish(peer(f"spiffe://elsewhere.test/{number}"), f"/made/Up{number}", "DENIED")
    assert counted(reporter.metrics) == {(OTHER, OTHER, "DENIED"): 100}


def refuse() -> Peer:
    raise PeerError("no name")


@pytest.mark.parametrize(
    ("find_peer", "identity", "reason", "rule"),
    [
        (
            lambda: peer("spiffe://video-demo.test/transcoder"),
            "spiffe://video-demo.test/transcoder",
            "not_listed",
            "allowed: gateway",
        ),
        (
            lambda: peer("spiffe://video-demo.test/gateway", expires_at=0),
            "spiffe://video-demo.test/gateway",
            "expired",
            "Your certificate has expired: renew it, and connect again.",
        ),
        (refuse, None, "no_identity", "no name"),
    ],
)
def test_a_denied_call_is_logged_with_reason_identity_method_and_rule(
    find_peer: Callable[[], Peer], identity: str | None, reason: str, rule: str
) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises((Denied, PeerError)):
        Authorizer("grpc", ALLOWED, source_with(observer=Reporter())).authorize(find_peer, CALL)
    assert [log for log in logs if log["event"] == "call.denied"] == [
        {
            "event": "call.denied",
            "log_level": "warning",
            "endpoint": "grpc",
            "reason": reason,
            "identity": identity,
            "method": CALL,
            "rule": rule,
        }
    ]


def test_an_allowed_call_is_not_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        authorizer = Authorizer("grpc", ALLOWED, source_with(observer=Reporter()))
        assert authorizer.authorize(lambda: GATEWAY, CALL) is GATEWAY
    assert logs == []


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    authority = Authority.create(IDENTITIES)
    leaf = authority.issue(identity_named("gateway"), not_after=NOW + dt.timedelta(days=2))
    write_identity(tmp_path / "gateway", leaf, authority.ca_pem)
    return load_identity(tmp_path / "gateway", roles=frozenset({Role.SERVER}))


def test_expiry_is_that_of_leaf_issuing_ca_and_root_at_the_time_of_the_question(
    identity: Identity,
) -> None:
    now = [NOW]
    collector = ExpiryCollector(lambda: now[0])
    collector.track(identity)

    def left() -> dict[str, float]:
        (gauge,) = collector.collect()
        assert {sample.labels["identity"] for sample in gauge.samples} == {str(identity.spiffe_id)}
        return {sample.labels["certificate"]: sample.value for sample in gauge.samples}

    at_first = left()
    assert set(at_first) == {"leaf", "issuing CA", "root"}
    assert at_first["leaf"] == pytest.approx(2 * 86_400, abs=1)  # certificates count in seconds
    now[0] += dt.timedelta(days=3)
    assert left()["leaf"] == pytest.approx(-86_400, abs=1)
    assert left()["root"] == pytest.approx(at_first["root"] - 3 * 86_400)


def test_a_renewed_identity_takes_the_place_of_the_old(identity: Identity) -> None:
    collector = ExpiryCollector(lambda: NOW)
    collector.track(identity)
    collector.track(identity)
    registry = CollectorRegistry()
    registry.register(collector)
    (gauge,) = registry.collect()
    assert len(gauge.samples) == 3
