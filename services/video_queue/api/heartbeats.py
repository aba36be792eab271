"""The pace of a stream of heartbeats: not too many, not too few, and none at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar

from video_queue.domain.notifier import Notifier
from video_queue.errors import StreamStalled

_Request = TypeVar("_Request")

_SHORTEST_PAUSE_SECONDS: Final = 0.1


async def paced(
    requests: AsyncIterator[_Request], notifier: Notifier, *, longest_pause_seconds: float
) -> AsyncGenerator[_Request]:
    """Yield the requests until the client ends the stream, ten a second at most.

    A client that sends more of them waits: what is not read fills the window that it has
    (RFC 9113, section 5.2). Raises `StreamStalled` after a long pause, `ShuttingDown`, and
    `TooManyWaiting` at the beginning.
    """
    with notifier.subscribe(Notifier.END) as news:
        the_end = asyncio.ensure_future(news.wait())
        request: asyncio.Future[_Request | None] | None = None
        try:
            while True:
                request = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait(
                    (the_end, request),
                    timeout=longest_pause_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if the_end.done():
                    the_end.result()  # raises ShuttingDown
                if not request.done():
                    raise StreamStalled
                if (message := request.result()) is None:
                    return
                yield message
                await asyncio.wait((the_end,), timeout=_SHORTEST_PAUSE_SECONDS)
        finally:
            the_end.cancel()
            if request:
                request.cancel()
