"""A rate limit for the log: a few lines of each kind, then how many were suppressed."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

Kind = tuple[str, str]
"""An event's name, and what tells apart two of the same name: a reason, a peer and a method."""

_LINES: Final = 10
_SECONDS: Final = 1.0


def _later(seconds: float, do: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


class LogRateLimiter:
    """Admits `lines` of each kind in `seconds`, and then calls `report(kind, suppressed)`.

    May be used from any thread. `later(seconds, do)` is the clock. There is at most one timer, and
    what is remembered is forgotten with each of its ticks.
    """

    def __init__(
        self,
        report: Callable[[Kind, int], None],
        *,
        lines: int = _LINES,
        seconds: float = _SECONDS,
        later: Callable[[float, Callable[[], None]], None] = _later,
    ) -> None:
        self.seconds: Final = seconds
        self._report, self._lines, self._later = report, lines, later
        self._counts: Counter[Kind] = Counter()
        self._lock = threading.Lock()

    def admits(self, kind: Kind) -> bool:
        """Count one more of this kind, and say whether it may have a line."""
        with self._lock:
            is_first_of_all = not self._counts
            self._counts[kind] += 1
            admitted = self._counts[kind] <= self._lines
        if is_first_of_all:
            self._later(self.seconds, self.flush)
        return admitted

    def flush(self) -> None:
        """Report what was suppressed until now, and begin again."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for kind, count in counts.items():
            if count > self._lines:
                self._report(kind, count - self._lines)
