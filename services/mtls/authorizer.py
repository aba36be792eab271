"""One call at the door of a server: who asks, is it allowed, and what came of it."""

from collections.abc import Callable
from functools import cache, partial
from typing import Final

from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError
from mtls.policy import Denied, Policy
from mtls.reporting.events import log_limited
from mtls.reporting.metrics import CALLS, CallLabels
from mtls.standing import Lapsed, check_standing

_MAX_CHARACTERS: Final = 200  # of a method in the log: a peer may ask for anything


class Door:
    """The policy of one endpoint (`grpc`, `http`, ...), with its log and its count.

    The identity in force knows which certificates have been revoked.
    """

    def __init__(self, endpoint: str, policy: Policy, source: IdentitySource) -> None:
        self._policy, self._source, self._labels = policy, source, CallLabels(policy)
        self._counter = cache(partial(CALLS.labels, endpoint))  # quicker than looking one up

    def admit(self, find_peer: Callable[[], Peer], method: str) -> Peer:
        """Return the peer, if it may call `method`. Logs, and raises `Denied` or `PeerError`."""
        peer = None
        try:
            peer = find_peer()
            check_standing(peer, self._source.current)
            self._policy.check(peer, method)
        except (Denied, PeerError) as error:
            self.log_denied(error, peer, method)
            raise
        return peer

    def log_denied(self, error: Denied | PeerError, peer: Peer | None, method: str) -> None:
        """Log a call that is denied, or is cut off because its caller's certificate has lapsed."""
        reason = _reason_of(error)
        log_limited(
            "call.denied",
            f"{reason} {self._labels.identity(peer)} {self._labels.method(method)}",
            reason=reason,
            identity=str(peer.spiffe_id) if peer else None,
            method=method[:_MAX_CHARACTERS],
            rule=error.rule if isinstance(error, Denied) else str(error),
        )

    def count(self, peer: Peer | None, method: str, code: str) -> None:
        """Count a call that was answered with `code`."""
        self._counter(self._labels.identity(peer), self._labels.method(method), code).inc()


def _reason_of(error: Denied | PeerError) -> str:
    match error:
        case Denied():
            return "not_listed"
        case Lapsed():
            return error.reason.value
        case _:
            return "no_identity"
