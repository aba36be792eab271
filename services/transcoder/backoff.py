"""Pauses between attempts."""

import asyncio
import random
from typing import Final

_SHORTEST_SHARE: Final = 0.5


class Backoff:
    """Each pause is twice as long as the one before, up to the longest.

    Chance takes up to half of it, so that many workers do not all come back at once.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = self._next_seconds = first_seconds
        self._longest_seconds = longest_seconds

    async def pause(self) -> None:
        """Wait."""
        seconds = min(self._next_seconds, self._longest_seconds)
        self._next_seconds = 2 * seconds
        await asyncio.sleep(seconds * random.uniform(_SHORTEST_SHARE, 1))  # noqa: S311  no secret

    def reset(self) -> None:
        """Begin with a short pause again."""
        self._next_seconds = self._first_seconds
