"""One call at the door of a server: is it allowed, who asks, and what came of it."""

from collections.abc import Callable
from typing import Final

from mtls.events import log_limited
from mtls.metrics import CALLS, CallLabels
from mtls.peer import Peer, PeerError
from mtls.policy import Denied, Policy

_MAX_CHARACTERS: Final = 200  # of a method in the log: a peer may ask for anything


class Door:
    """The policy of one endpoint (`grpc`, `http`, ...), with its log and its count."""

    def __init__(self, endpoint: str, policy: Policy) -> None:
        self._endpoint, self._policy, self._labels = endpoint, policy, CallLabels(policy)

    def admit(self, find_peer: Callable[[], Peer], method: str) -> Peer:
        """Return the peer, if it may call `method`. Logs, and raises `Denied` or `PeerError`."""
        peer = None
        try:
            peer = find_peer()
            self._policy.check(peer, method)
        except (Denied, PeerError) as error:
            log_limited(
                "call.denied",
                f"{self._labels.identity(peer)} {self._labels.method(method)}",
                identity=str(peer.spiffe_id) if peer else None,
                method=method[:_MAX_CHARACTERS],
                rule=error.rule if isinstance(error, Denied) else str(error),
            )
            raise
        return peer

    def count(self, peer: Peer | None, method: str, code: str) -> None:
        """Count a call that was answered with `code`."""
        identity, label = self._labels.identity(peer), self._labels.method(method)
        CALLS.labels(self._endpoint, identity, label, code).inc()
