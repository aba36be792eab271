"""Keeping the lease of a video while the work on it goes on, and the pauses between attempts."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, Final, NoReturn, TypeVar

from transcoder.config import Config
from transcoder.queue_client import QueueClient
from transcoder.queue_errors import LeaseLost, TryAgain
from videoqueue_api.v1 import video_queue_pb2 as api

_Result = TypeVar("_Result")

# A stream is a call like any other, and the queue's connections have a maximum age.
_BEATS_PER_STREAM: Final = 100
_BEATS_PER_LEASE: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.1
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


class Progress:
    """How far the work is, 0 to 100 percent, and whether that is news."""

    def __init__(self) -> None:
        self.percent = 0
        self._news = asyncio.Event()

    def report(self, percent: int) -> None:
        """Set the percentage."""
        self.percent = percent
        self.wake()

    def wake(self) -> None:
        """Let `news` return."""
        self._news.set()

    async def news(self, seconds: float) -> None:
        """Return when there is news, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()


async def keep_lease(
    queue: QueueClient, claim: api.Claim, progress: Progress, config: Config
) -> NoReturn:
    """Renew the lease and report the progress until cancelled. Raises `QueueError`.

    A connection that is lost is made again for as long as the lease may hold.
    """
    now = asyncio.get_running_loop().time
    backoff = Backoff(_FIRST_PAUSE_SECONDS, config.retry_seconds)
    try:
        async with asyncio.timeout(claim.lease_seconds) as lease:
            while True:
                try:
                    async with queue.heartbeats(claim.lease, on_end=progress.wake) as beat:
                        for _ in range(_BEATS_PER_STREAM):
                            seconds = await beat(progress.percent)
                            lease.reschedule(now() + seconds)
                            backoff.reset()
                            longest = seconds / _BEATS_PER_LEASE
                            shortest = min(config.heartbeat_seconds, longest)
                            await asyncio.sleep(shortest)
                            await progress.news(longest - shortest)
                except TryAgain:
                    await backoff.pause()
    except TimeoutError as error:
        raise LeaseLost from error


async def while_kept(
    keeping: Coroutine[Any, Any, NoReturn], work: Coroutine[Any, Any, _Result]
) -> _Result:
    """Return the result of `work`, or cancel it when `keeping` raises, and raise that."""
    worker, keeper = asyncio.create_task(work), asyncio.create_task(keeping)
    try:
        done, _ = await asyncio.wait({worker, keeper}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        worker.cancel()
        keeper.cancel()
        await asyncio.gather(worker, keeper, return_exceptions=True)
    return worker.result() if worker in done else keeper.result()
