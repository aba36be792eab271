"""What this library can report: one small interface, to which by default nobody listens.

An observer is given to `watch_identity` and travels with the identity, so that two servers in one
process can have two. `mtls.reporting` has one that logs and counts. Methods are called in the event
loop, except `handshake_refused`, which gRPC's log calls in a thread: they must be quick.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mtls.refusals import Refusal

if TYPE_CHECKING:  # for their types alone: these modules import this one
    from mtls.address import Address
    from mtls.identity import Identity
    from mtls.peer import Peer, PeerError
    from mtls.policy import Denied, Policy


class Observer:
    """Override the methods for the events that you want to hear of.

    `endpoint` is the name of a listener: `http`, `grpc`, or what it was given.
    """

    def identity_loaded(self, identity: Identity) -> None:
        """The first identity is in use."""

    def identity_renewed(self, identity: Identity) -> None:
        """New files were accepted, and are in use for new connections."""

    def identity_refused(self, current: Identity, error: str) -> None:
        """New files were refused; `current` stays in use."""

    def handshake_accepted(self, endpoint: str) -> None:
        """A TLS handshake succeeded."""

    def handshake_refused(self, endpoint: str, refusal: Refusal) -> None:
        """A TLS handshake failed, on either side's decision."""

    def connection_dropped(self, endpoint: str, peer: Address, limit: str) -> None:
        """A connection was closed before its handshake: there were too many. `limit` names it."""

    def connection_closed(self, endpoint: str, peer: Address, reason: str) -> None:
        """An open connection was closed: it is too old, or its certificate is no longer valid."""

    def accept_failed(self, endpoint: str, error: OSError) -> None:
        """The system gave no new connection; it is asked again in a moment."""

    def policy_in_force(self, endpoint: str, policy: Policy) -> None:
        """An endpoint serves by this policy, from now on."""

    def call_denied(
        self, endpoint: str, policy: Policy, method: str, error: Denied | PeerError
    ) -> None:
        """A call was denied, or cut off because its caller's certificate is no longer valid."""

    def call_finished(
        self, endpoint: str, policy: Policy, peer: Peer | None, method: str, code: str
    ) -> None:
        """A call was answered with `code`; `peer` is None when nobody is known to have made it."""

    def request_malformed(self, endpoint: str, peer: str, status: int, error: str) -> None:
        """What came is no HTTP, or is larger than allowed: answered with `status`."""

    def channel_renewed(self, address: Address, identity: Identity) -> None:
        """Calls to `address` go over a channel with the new certificate."""

    async def channel_failing(self, address: Address, identity: Identity) -> None:
        """A gRPC channel cannot connect. Called again while that lasts, every 30 s."""

    def instrument_server_context(
        self, endpoint: str, context: ssl.SSLContext, make_plain: Callable[[], ssl.SSLContext]
    ) -> None:
        """A server's TLS context was made, and is not in use yet: it may be changed.

        `make_plain` returns another with the same settings. What notes a refusal itself sets
        `reported` of the `PendingHandshake` that is being served.
        """

    def failed(self, what: str, error: Exception) -> None:
        """Something of ours failed unexpectedly, and its neighbours go on without it."""
        asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


NO_OBSERVER: Final = Observer()
