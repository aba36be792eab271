"""How many calls of one kind may be under way at once: in all, and for one identity.

Each kind has a pool of its own, so that no kind of call can use up what another one needs.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from video_queue.domain.errors import TooManyCalls


@dataclass(frozen=True, slots=True)
class Capacity:
    """At most `total` calls at once, at most `share` of them for one identity (a SPIFFE ID)."""

    total: int
    share: int


class Pool:
    """The calls of one kind (`uploads`, `watches`, ...) that are under way."""

    def __init__(self, kind: str, capacity: Capacity) -> None:
        self._kind = kind
        self._capacity = capacity
        self._calls: Counter[str] = Counter()

    @contextmanager
    def admit(self, identity: str) -> Iterator[None]:
        """Count a call while the body runs. Raises `TooManyCalls`."""
        if self._calls[identity] >= self._capacity.share:
            raise TooManyCalls(
                f"{identity} has {self._calls[identity]} {self._kind} under way, and the limit for "
                f"one identity is {self._capacity.share}: end one, or wait until one has ended."
            )
        if self.calls >= self._capacity.total:
            raise TooManyCalls(
                f"{self.calls} {self._kind} are under way, and the limit for all identities "
                f"is {self._capacity.total}: try again in a few seconds."
            )
        self._calls[identity] += 1
        try:
            yield
        finally:
            self._calls[identity] -= 1
            if not self._calls[identity]:
                del self._calls[identity]

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return self._calls.total()
