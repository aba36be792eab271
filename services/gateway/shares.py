"""How much of one kind of work is under way at once: in all, and for one identity.

Without the second limit a single client, however genuine, uses up what all others need. What each
piece of work may hold in memory, times these limits, fits the container: a test multiplies.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mtls import SpiffeId

from gateway.errors import TooManyRequests

_SHARES: Final = 4  # one identity has a quarter at most


class Share:
    """Limits one kind of work, such as `uploads`."""

    def __init__(self, kind: str, maximum: int) -> None:
        self._kind, self._maximum = kind, maximum
        self._maximum_per_identity = max(1, maximum // _SHARES)
        self._under_way = 0
        self._of_identity: Counter[SpiffeId] = Counter()

    @contextmanager
    def taken(self, caller: SpiffeId) -> Iterator[None]:
        """Count a piece of work of the caller's while the body runs. Raises `TooManyRequests`."""
        if self._of_identity[caller] >= self._maximum_per_identity:
            raise TooManyRequests(
                f"{caller} has {self._maximum_per_identity} {self._kind} under way, "
                "which is all that one identity may have: wait until one of them has ended."
            )
        if self._under_way >= self._maximum:
            raise TooManyRequests(
                f"The server has {self._maximum} {self._kind} under way, and takes no more: "
                "try again in a few seconds."
            )
        self._under_way += 1
        self._of_identity[caller] += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._of_identity[caller] -= 1
            if not self._of_identity[caller]:
                del self._of_identity[caller]
