"""What a server tells of itself to whom it may: whom it has refused, and what its policy says.

A refused client learns little, and over gRPC nothing. Who runs the server reads the log; a peer
that the policy allows to ask is told the same over mutual TLS. All of it is bounded: the latest
refusals, cut, and the calls that the policy names.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from mtls.errors import MtlsError
from mtls.peer import Peer, PeerError
from mtls.policy import Denied, Policy
from mtls.refusals import Refusal
from mtls.reporting.presented import Presented
from mtls.spiffe import SpiffeId

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

MAX_REFUSALS: Final = 128
MAX_OTHERS: Final = 32  # of whom a reader may ask besides
_MAX_CHARACTERS: Final = 200
_MAX_CERTIFICATE_BYTES: Final = 4096  # of a leaf; ours have some 700


@dataclass(frozen=True, slots=True)
class RecentRefusal:
    """A refused handshake or a denied call, as in the log.

    `number` counts all refusals since the start, so that a reader sees what is new and what it has
    missed. `time` is in seconds since 1970. `error` is the text of the TLS library, or the rule of
    the policy. What is not known is "": gRPC's C-core tells neither address nor certificate.
    """

    number: int
    time: float
    event: str
    endpoint: str
    reason: str
    error: str
    peer: str = ""
    identity: str = ""
    method: str = ""
    serial: str = ""
    leaf: bytes = field(default=b"", repr=False)

    @property
    def presented(self) -> Presented | None:
        """What the certificate says, where it is at hand; nobody has vouched for a word of it."""
        return Presented.parse(self.leaf) if self.leaf else None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy in force says of one peer and one action; `rule` is "" if it is allowed.

    `called_at` (seconds since 1970) and `code` are those of the last call that this peer has really
    made, and None if it has made none since the start.
    """

    endpoint: str
    identity: str
    method: str
    rule: str
    called_at: float | None = None
    code: str | None = None


class Audit:
    """Keeps what the `Reporter` hears. `refused` may be called from any thread."""

    def __init__(self) -> None:
        self._refusals: deque[RecentRefusal] = deque(maxlen=MAX_REFUSALS)
        self._numbers = count(1)
        self._policies: dict[str, Policy] = {}
        self._calls: dict[tuple[str, str, str], tuple[float, str]] = {}

    def serves(self, endpoint: str, policy: Policy) -> None:
        """Remember the policy that decides at this endpoint."""
        self._policies[endpoint] = policy

    def refused(self, endpoint: str, refusal: Refusal) -> None:
        """Remember a refused handshake."""
        self._add(
            event="handshake.refused",
            endpoint=endpoint,
            reason=refusal.reason.value,
            error=_cut(refusal.error),
            peer=refusal.peer or "",
            leaf=refusal.presented,
        )

    def denied(self, endpoint: str, method: str, error: Denied | PeerError) -> None:
        """Remember a denied call."""
        shown = error.certificate if isinstance(error, PeerError) else None
        self._add(
            event="call.denied",
            endpoint=endpoint,
            reason=error.reason,
            error=_cut(error.rule),
            identity=_cut(str(error.peer.spiffe_id)) if error.peer else "",
            method=_cut(method),
            serial=_serial_of(error.peer, shown),
            leaf=shown.public_bytes(Encoding.DER) if shown else b"",
        )

    def _add(self, *, leaf: bytes, **fields: Any) -> None:
        leaf = leaf if len(leaf) <= _MAX_CERTIFICATE_BYTES else b""
        self._refusals.append(RecentRefusal(next(self._numbers), time.time(), leaf=leaf, **fields))

    def answered(self, endpoint: str, name: str, method: str, code: str) -> None:
        """Remember a call by the labels of its metrics, of which there are not many."""
        self._calls[endpoint, name, method] = time.time(), code

    def refusals(self, after: int = 0) -> list[RecentRefusal]:
        """Return the latest refusals whose number is greater than `after`, the oldest first."""
        return [entry for entry in self._refusals.copy() if entry.number > after]

    def decisions(self, others: Iterable[SpiffeId] = ()) -> Iterator[Decision]:
        """Ask each policy in force about each of its actions, for each peer that it names.

        And for `others`, whom it may not name.
        """
        for endpoint, policy in self._policies.items():
            names = sorted(frozenset[str]().union(*policy.allowed.values()))
            named = [SpiffeId(policy.trust_domain, name) for name in names]
            for method in policy.allowed:
                for peer in dict.fromkeys([*named, *others]):
                    rule = policy.rule_against(peer, method) or ""
                    key = endpoint, peer.path, method
                    called = self._calls.get(key) if peer in named else None
                    yield Decision(endpoint, str(peer), method, rule, *(called or (None, None)))


def parse_others(names: Sequence[str]) -> list[SpiffeId]:
    """Read the SPIFFE IDs that a reader asks about. Raises `MtlsError`."""
    if len(names) > MAX_OTHERS:
        raise MtlsError(f"Ask about {MAX_OTHERS} identities at most.")
    return [SpiffeId.parse(name) for name in names]


def _serial_of(peer: Peer | None, shown: x509.Certificate | None) -> str:
    if peer:
        return f"{peer.certificate_id.serial:x}"
    return f"{shown.serial_number:x}" if shown else ""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "..."
