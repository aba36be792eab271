"""Work that, once begun, comes to its end, even when the caller who waits for it goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Unbroken:
    """Runs coroutines that a cancelled call must not leave half done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # the event loop keeps only weak references

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return the result of `work`; a cancellation ends the waiting, never the work."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait until everything begun has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
