"""Bounding how long we wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def within(seconds: float, error: Exception) -> AsyncIterator[None]:
    """Cancel the body and raise `error` if it takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds) as timer:
            yield
    except TimeoutError:
        if timer.expired():
            raise error from None
        raise  # the body's own, such as ETIMEDOUT of a socket
