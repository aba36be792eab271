"""Authorization of one call at a server: who calls, may it, and how the call ended."""

from collections.abc import Callable

from mtls.identity_source import IdentitySource
from mtls.peer import Peer, PeerError
from mtls.policy import Allowed, Denied, Policy


class Authorizer:
    """The policy of one endpoint (`grpc`, `http`, ...): the same for every stack.

    The identity in use knows our trust domain, and which certificates have been revoked.
    """

    def __init__(self, endpoint: str, allowed: Allowed, source: IdentitySource) -> None:
        self._endpoint, self._source = endpoint, source
        self._policy = Policy(source.current.spiffe_id.trust_domain, allowed)
        self._observer = source.observer
        self._observer.policy_in_force(endpoint, self._policy)

    def authorize(self, find_peer: Callable[[], Peer], method: str, *, exists: bool = True) -> Peer:
        """Return the peer if it may call `method`; else raise `Denied` or `PeerError`.

        For a method that does not exist, the peer is returned if it may call any.
        """
        try:
            peer = find_peer()
            peer.check_still_valid(self._source.current)
            if exists:
                self._policy.check(peer, method)
            else:
                self._policy.check_any(peer, method)
        except (Denied, PeerError) as error:
            self.deny(error, method)
            raise
        return peer

    def deny(self, error: Denied | PeerError, method: str) -> None:
        """Report a call that is denied, or is cut off in its middle."""
        self._observer.call_denied(self._endpoint, self._policy, method, error)

    def finish(self, peer: Peer | None, method: str, code: str) -> None:
        """Report a call that was answered with `code`."""
        self._observer.call_finished(self._endpoint, self._policy, peer, method, code)
