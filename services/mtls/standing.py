"""Is a certificate that was good in the handshake good still?

TLS looks at a certificate once. The connection then lives for hours, and longer than that if its
session can be resumed: gRPC's servers hand out tickets by which a client comes back for two days,
and its certificate is looked at no more (RFC 8446, section 2.2). So every call looks again, and
so does, every few seconds, whoever has long calls or idle connections open.
"""

import time

from mtls.identity import Identity
from mtls.peer import Peer, PeerError
from mtls.refusals import Reason


class Lapsed(PeerError):
    """The peer's certificate was good once; `reason` says what has become of it."""

    def __init__(self, peer: Peer, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.peer = peer
        self.reason = reason


def check_standing(peer: Peer, identity: Identity, *, now: float | None = None) -> None:
    """Raise `Lapsed` if the certificate has expired or `identity` knows that it was revoked.

    `now` is in seconds since 1970 (default: the clock). Revocation lists that are out of date let
    nobody in, as in OpenSSL.
    """
    now = time.time() if now is None else now
    if now > peer.expires_at:
        raise Lapsed(
            peer, Reason.EXPIRED, "Your certificate has expired: renew it, and connect again."
        )
    if (revocations := identity.revocations) is None:
        return
    if peer.certificate_id in revocations.certificates:
        raise Lapsed(
            peer,
            Reason.REVOKED,
            "Your certificate was revoked: have another issued, and connect again.",
        )
    if now > revocations.ends_at:
        raise Lapsed(
            peer,
            Reason.NO_REVOCATION_LIST,
            "The server has no new revocation lists: until it has, it serves nobody.",
        )
