"""Why the queue ended a call while we were still writing into it.

grpcio forgets that now and then: a write that fails because the call has ended replaces the status
by an INTERNAL of its own (grpc/grpc#36066). Remove this file when that is mended.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

_Result = TypeVar("_Result")

# What a write raises into a call that has ended, depending on when it finds out.
CALL_ENDED: Final = (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError)

_MADE_UP: Final = "Internal error from Core"


class EarlyEnd:
    """Listens from the start, and so hears the queue's status before it is replaced."""

    def __init__(self, call: grpc.aio.StreamUnaryCall[Any, Any]) -> None:
        self._call = call
        self._code, self._words = grpc.StatusCode.INTERNAL, ""
        call.add_done_callback(lambda _: self._hear())

    async def error(self) -> grpc.aio.AioRpcError:
        """Return the error that the call ended with."""
        with suppress(grpc.aio.AioRpcError):
            await self._call
        self._hear()  # the queue's status may also come after the made-up one
        # When nobody has heard another, the queue itself is gone.
        code = grpc.StatusCode.UNAVAILABLE if self._words == _MADE_UP else self._code
        nothing = grpc.aio.Metadata()
        return grpc.aio.AioRpcError(code, nothing, nothing, self._words)

    def _hear(self) -> None:
        if self._code is grpc.StatusCode.INTERNAL:
            self._code = _result_of(self._call.code())
            self._words = _result_of(self._call.details())


def _result_of(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of a coroutine that need not wait: those of a call that is done."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _Result = stop.value
        return result
    raise RuntimeError("The call is not done.")
