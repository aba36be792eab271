"""Tells the calls that wait for a change that something has changed.

A notification says that there is news, and not what: the subscriber reads the catalog. So a slow
subscriber misses steps and never the last one, nothing piles up, and only the database holds state.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from video_queue.domain.errors import ShuttingDown


class Subscription:
    """What one subscriber waits on. A notification that comes while it does not wait is kept."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()
        self._closing = False

    def notify(self, *, closing: bool = False) -> None:
        """Wake the subscriber."""
        self._closing = self._closing or closing
        self._notified.set()

    async def wait(self) -> None:
        """Return at the next notification. Raises `ShuttingDown` when there will be none."""
        await self._notified.wait()
        self._notified.clear()
        if self._closing:
            raise ShuttingDown


class Notifier:
    """The subscriptions of this process; a topic is the ID of a video, `WORK` or `END`.

    `END` is for subscribers that wait for the shutdown alone, which every subscriber hears of.
    """

    WORK = "work"
    END = "end"

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._number = 0
        self._closing = False

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Yield a subscription to `topic`. Raises `ShuttingDown`."""
        if self._closing:
            raise ShuttingDown
        subscription = Subscription()
        subscriptions = self._subscriptions.setdefault(topic, set())
        subscriptions.add(subscription)
        self._number += 1
        try:
            yield subscription
        finally:
            self._number -= 1
            subscriptions.discard(subscription)
            if not subscriptions:
                self._subscriptions.pop(topic, None)

    def notify(self, topic: str) -> None:
        """Wake all subscribers to `topic`."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.notify()

    def notify_all(self) -> None:
        """Wake every subscriber: there may have been news of which nobody has told us."""
        for topic in tuple(self._subscriptions):
            if topic != self.END:
                self.notify(topic)

    def close(self) -> None:
        """End all waiting: every subscriber's `wait` raises `ShuttingDown`."""
        self._closing = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.notify(closing=True)

    @property
    def subscribers(self) -> int:
        """How many calls are subscribed now."""
        return self._number
