"""Runs work that has to finish once begun, also when the call that waits for it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class ShieldedTasks:
    """Runs coroutines that a cancelled call must not leave half done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()  # the event loop keeps only weak references

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return the result of `work`. A cancellation ends the waiting and not the work."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait until all tasks have ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
