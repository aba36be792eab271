"""What a server tells of itself is true, and bounded."""

from mtls import MtlsError, PeerError
from mtls.policy import Denied, Policy
from mtls.refusals import Reason, Refusal
from mtls.reporting.audit import MAX_OTHERS, MAX_REFUSALS, Audit, parse_others
from mtls.spiffe import SpiffeId

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from tests.unit.mtls.peers import peer

VIEWER = "spiffe://video-demo.test/client/viewer"
POLICY = Policy(
    "video-demo.test",
    {"GET /a": frozenset({"client/viewer", "probe"}), "POST /a": frozenset({"probe"})},
)
REFUSED = Refusal(Reason.EXPIRED, "certificate has expired", "192.0.2.1:4711")


def test_the_latest_refusals_are_kept_and_older_ones_make_room() -> None:
    audit = Audit()
    for _ in range(MAX_REFUSALS + 10):
        audit.refused("http", REFUSED)
    numbers = [entry.number for entry in audit.refusals()]
    assert numbers == list(range(11, MAX_REFUSALS + 11))


def test_a_reader_asks_for_what_is_new() -> None:
    audit = Audit()
    audit.refused("http", REFUSED)
    (first,) = audit.refusals()
    assert audit.refusals(after=first.number) == []
    audit.refused("grpc", REFUSED)
    (second,) = audit.refusals(after=first.number)
    assert (second.number, second.endpoint) == (first.number + 1, "grpc")


def test_a_refused_handshake_is_told_with_the_certificate_that_was_shown() -> None:
    audit = Audit()
    leaf = Authority.create(IDENTITIES).issue(identity_named("client/viewer")).certificate
    shown = leaf.public_bytes(Encoding.DER)
    audit.refused("http", Refusal(Reason.UNKNOWN_CA, "no issuer", "192.0.2.1:1", shown))
    (entry,) = audit.refusals()
    assert (entry.event, entry.reason, entry.error) == (
        "handshake.refused",
        "unknown_ca",
        "no issuer",
    )
    assert entry.peer == "192.0.2.1:1"
    assert entry.presented
    assert entry.presented.names == (VIEWER,)
    assert entry.presented.serial == f"{leaf.serial_number:x}"


def test_a_denied_call_is_told_with_its_rule_and_the_callers_certificate() -> None:
    audit = Audit()
    audit.denied("http", "POST /a", Denied(peer(VIEWER, serial=0xAB), "POST /a", "allowed: probe"))
    (entry,) = audit.refusals()
    assert (entry.event, entry.reason, entry.error) == (
        "call.denied",
        "not_listed",
        "allowed: probe",
    )
    assert (entry.identity, entry.method, entry.serial) == (VIEWER, "POST /a", "ab")


def test_a_caller_without_a_name_is_known_by_its_certificate() -> None:
    audit = Audit()
    leaf = Authority.create(IDENTITIES).issue(identity_named("probe"), uris=[]).certificate
    nameless = PeerError("It names nobody.")
    nameless.certificate = leaf
    audit.denied("grpc", "/a", nameless)
    (entry,) = audit.refusals()
    assert (entry.reason, entry.identity) == ("no_identity", "")
    assert entry.serial == f"{leaf.serial_number:x}"
    assert entry.presented


def test_what_a_stranger_sends_takes_little_memory() -> None:
    audit = Audit()
    audit.refused("http", Refusal(Reason.UNKNOWN_CA, "x" * 100_000, None, b"x" * 100_000))
    audit.denied("http", "GET /" + "y" * 100_000, PeerError("z" * 100_000))
    for entry in audit.refusals():
        assert len(entry.error) + len(entry.method) < 500
        assert entry.leaf == b""
        assert entry.presented is None


def test_the_policy_in_force_decides_for_each_of_its_peers() -> None:
    audit = Audit()
    audit.serves("http", POLICY)
    told = {(each.identity, each.method): each.rule for each in audit.decisions()}
    assert told == {
        ("spiffe://video-demo.test/client/viewer", "GET /a"): "",
        ("spiffe://video-demo.test/client/viewer", "POST /a"): "allowed: probe",
        ("spiffe://video-demo.test/probe", "GET /a"): "",
        ("spiffe://video-demo.test/probe", "POST /a"): "",
    }


@pytest.mark.parametrize(
    ("who", "method"),
    [
        (who, method)
        for who in (VIEWER, "spiffe://video-demo.test/nobody", "spiffe://other.test/client/viewer")
        for method in POLICY.allowed
    ],
)
def test_it_decides_for_others_as_for_a_call(who: str, method: str) -> None:
    audit = Audit()
    audit.serves("http", POLICY)
    told = {
        (each.identity, each.method): each.rule for each in audit.decisions([SpiffeId.parse(who)])
    }
    try:
        POLICY.check(peer(who), method)
        rule = ""
    except Denied as error:
        rule = error.rule
    assert told[who, method] == rule


def test_the_last_call_is_told_and_others_are_said_not_to_have_called() -> None:
    audit = Audit()
    audit.serves("http", POLICY)
    audit.answered("http", "client/viewer", "GET /a", "200")
    audit.answered("http", "client/viewer", "GET /a", "404")
    audit.answered("grpc", "probe", "GET /a", "OK")  # at another endpoint
    called = {(each.identity, each.method): each.code for each in audit.decisions() if each.code}
    assert called == {(VIEWER, "GET /a"): "404"}
    assert all((each.called_at is None) == (each.code is None) for each in audit.decisions())


@pytest.mark.parametrize("names", [["nobody"], [VIEWER] * (MAX_OTHERS + 1)])
def test_a_reader_asks_about_a_few_spiffe_ids(names: list[str]) -> None:
    assert parse_others([VIEWER] * MAX_OTHERS)
    with pytest.raises(MtlsError):
        parse_others(names)
