from mtls.policy import Denied, Policy

import pytest

from tests.unit.mtls.peers import peer

POLICY = Policy("video-demo.test", {"Upload": frozenset({"gateway"}), "Nobody": frozenset()})


def test_allows_what_the_table_names() -> None:
    POLICY.check(peer("spiffe://video-demo.test/gateway"), "Upload")


@pytest.mark.parametrize(
    ("who", "action", "rule"),
    [
        ("spiffe://video-demo.test/probe", "Upload", "allowed: gateway"),
        ("spiffe://video-demo.test/gateway", "Nobody", "allowed: "),
        ("spiffe://video-demo.test/gateway", "Delete", "no rule names this action"),
        ("spiffe://other.test/gateway", "Upload", "only peers of video-demo.test are served"),
        ("spiffe://video-demo.test/client/gateway", "Upload", "allowed: gateway"),
        ("spiffe://video-demo.test/gateway/more", "Upload", "allowed: gateway"),
        ("spiffe://video-demo.test/gate", "Upload", "allowed: gateway"),
    ],
)
def test_denies_everything_else_and_knows_the_rule(who: str, action: str, rule: str) -> None:
    with pytest.raises(Denied) as raised:
        POLICY.check(peer(who), action)
    assert raised.value.rule == rule
    assert who in str(raised.value)


def test_does_not_tell_the_peer_who_else_is_allowed() -> None:
    with pytest.raises(Denied) as raised:
        POLICY.check(peer("spiffe://video-demo.test/probe"), "Upload")
    assert "gateway" not in str(raised.value)


def test_of_what_does_not_exist_a_peer_hears_that_may_call_something() -> None:
    POLICY.check_any(peer("spiffe://video-demo.test/gateway"), "Missing")
    for who in ("spiffe://video-demo.test/probe", "spiffe://other.test/gateway"):
        with pytest.raises(Denied):
            POLICY.check_any(peer(who), "Missing")
