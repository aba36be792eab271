"""Telling those who wait that something has changed.

A bell says that there is news, not what: who hears it looks into the catalog. So a slow listener
misses steps but never the last one, nothing piles up, and the database stays the only truth.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from video_queue.errors import ShuttingDown, TooManyWaiting


class Bell:
    """One listener's bell. A ring that comes while nobody waits is kept, once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._closing = False

    def ring(self, *, closing: bool = False) -> None:
        """Wake the listener."""
        self._closing = self._closing or closing
        self._rung.set()

    async def wait(self) -> None:
        """Return at the next ring. Raises `ShuttingDown` when no news will come any more."""
        await self._rung.wait()
        self._rung.clear()
        if self._closing:
            raise ShuttingDown


class Bells:
    """The bells of all listeners in this process; a topic is the ID of a video, `WORK` or `END`.

    `END` is for those who wait for nothing but the end, at which every bell rings.
    """

    WORK = "work"
    END = "end"

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._listeners: dict[str, set[Bell]] = {}
        self._waiting = 0
        self._closing = False

    @contextmanager
    def listen(self, topic: str) -> Iterator[Bell]:
        """Yield a bell that rings for `topic`. Raises `TooManyWaiting` or `ShuttingDown`."""
        if self._closing:
            raise ShuttingDown
        if self._waiting >= self._max_waiting:
            raise TooManyWaiting
        bell = Bell()
        listeners = self._listeners.setdefault(topic, set())
        listeners.add(bell)
        self._waiting += 1
        try:
            yield bell
        finally:
            self._waiting -= 1
            listeners.discard(bell)
            if not listeners:
                self._listeners.pop(topic, None)

    def ring(self, topic: str) -> None:
        """Wake all who listen to `topic`."""
        for bell in self._listeners.get(topic, ()):
            bell.ring()

    def close(self) -> None:
        """Send everybody away: each waits no longer and raises `ShuttingDown`."""
        self._closing = True
        for listeners in self._listeners.values():
            for bell in listeners:
                bell.ring(closing=True)

    @property
    def waiting(self) -> int:
        """How many listen now."""
        return self._waiting
