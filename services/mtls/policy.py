"""Who may do what: a table, and no for everything that is not in it."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mtls.errors import MtlsError
from mtls.peer import Peer
from mtls.spiffe import SpiffeId

Allowed = Mapping[str, AbstractSet[str]]
"""For each action the names that may do it, such as `{"GET /hello": {"client/alice"}}`."""


class Denied(MtlsError):
    """The peer is known, and may not do this. `rule` says why, for our log and not for the peer."""

    reason = "not_listed"

    def __init__(self, peer: Peer, action: str, rule: str) -> None:
        super().__init__(
            f"{peer.spiffe_id} may not call {action}. "
            "If it should, its name has to be added to the service's policy."
        )
        self.peer = peer
        self.action = action
        self.rule = rule


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """For each action, the names (paths of SPIFFE IDs) in our own trust domain that may do it."""

    trust_domain: str
    allowed: Allowed

    def check(self, peer: Peer, action: str) -> None:
        """Raise `Denied` unless the table names this peer for this action."""
        if rule := self.rule_against(peer.spiffe_id, action):
            raise Denied(peer, action, rule)

    def rule_against(self, spiffe_id: SpiffeId, action: str) -> str | None:
        """Return the rule by which a peer of this name is denied; None: it is allowed."""
        if spiffe_id.trust_domain != self.trust_domain:
            return self._only_ours
        if (names := self.allowed.get(action)) is None:
            return "no rule names this action"
        if spiffe_id.path not in names:
            return "allowed: " + ", ".join(sorted(names))
        return None

    def check_any(self, peer: Peer, action: str) -> None:
        """Raise `Denied` unless the table names this peer for some action, whichever it is.

        For an action that does not exist: a peer that is served may hear so, a stranger may not.
        """
        if peer.spiffe_id.trust_domain != self.trust_domain:
            raise Denied(peer, action, self._only_ours)
        if not any(peer.name in names for names in self.allowed.values()):
            raise Denied(peer, action, "no rule names this peer")

    @property
    def _only_ours(self) -> str:
        return f"only peers of {self.trust_domain} are served"
