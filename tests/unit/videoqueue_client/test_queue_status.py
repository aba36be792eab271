"""What is heard of a call that the queue has ended while we were writing into it."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from videoqueue_client.sending import _QueueStatus

MADE_UP = (grpc.StatusCode.INTERNAL, "Internal error from Core")
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full", ("exhausted", "store"))


class Call:
    """As much of a call as is listened to."""

    def __init__(self, *status: Any) -> None:
        self.status = status

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.when_done = callback

    async def code(self) -> Any:
        return self.status[0]

    async def details(self) -> Any:
        return self.status[1]

    async def trailing_metadata(self) -> Any:
        return grpc.aio.Metadata(*self.status[2:])

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(self.status[0], nothing, nothing, self.status[1])


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        (FULL, MADE_UP, "RESOURCE_EXHAUSTED"),
        (MADE_UP, FULL, "RESOURCE_EXHAUSTED"),
        (MADE_UP, MADE_UP, "UNAVAILABLE"),
    ],
)
async def test_the_queue_s_own_status_is_heard_and_without_one_it_is_gone(
    first: Any, then: Any, code: str
) -> None:
    call: Any = Call(*first)
    status = _QueueStatus(call)
    call.when_done(call)
    call.status = then
    error = await status.error()
    assert error.code().name == code
    assert error.trailing_metadata().get("exhausted") == (
        "store" if FULL in (first, then) else None
    )


async def test_an_internal_error_of_the_queue_stays_one() -> None:
    call: Any = Call(grpc.StatusCode.INTERNAL, "the queue's own")
    status = _QueueStatus(call)
    call.when_done(call)
    assert (await status.error()).code() is grpc.StatusCode.INTERNAL
