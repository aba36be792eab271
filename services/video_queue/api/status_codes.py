"""The one edge where an error becomes a gRPC status (https://grpc.io/docs/guides/status-codes/)."""

from collections.abc import Mapping
from logging import ERROR
from types import TracebackType
from typing import Any, Final

from mtls.reporting.events import log_limited

import grpc
import grpc.aio

from video_queue.domain import errors

CODES: Final[Mapping[type[errors.CallError], grpc.StatusCode]] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.VideoNotFound: grpc.StatusCode.NOT_FOUND,
    errors.NotTheOwner: grpc.StatusCode.PERMISSION_DENIED,
    errors.MayNotActForOthers: grpc.StatusCode.PERMISSION_DENIED,
    errors.RenditionNotFound: grpc.StatusCode.NOT_FOUND,
    errors.TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyRenditions: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StoreFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.OwnerFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyPending: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.KeyInUse: grpc.StatusCode.ABORTED,
    errors.KeyUsed: grpc.StatusCode.ALREADY_EXISTS,
    errors.TooManyCalls: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RangeNotSatisfiable: grpc.StatusCode.OUT_OF_RANGE,
    errors.StreamStalled: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.StreamBrokeOff: grpc.StatusCode.ABORTED,
    errors.LeaseLost: grpc.StatusCode.ABORTED,
    errors.BytesLost: grpc.StatusCode.DATA_LOSS,
    errors.CatalogUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.FilesUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.ShuttingDown: grpc.StatusCode.UNAVAILABLE,
}
# RESOURCE_EXHAUSTED alone does not tell a caller whether to wait, to make room or to send less.
EXHAUSTED: Final[Mapping[type[errors.CallError], str]] = {
    errors.TooLarge: "file-size",
    errors.StoreFull: "store",
}
_UNEXPECTED: Final = "Something went wrong in the video queue; its log says what. Try again later."


class StatusOfErrors:
    """`async with StatusOfErrors(context):` ends the call with the status of what is raised inside.

    The caller of a call that fails unexpectedly is told no details; our log has them.
    """

    def __init__(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, errors.CallError):
            _log_refusal(error)
            exhausted = EXHAUSTED.get(type(error))
            trailing = (("exhausted", exhausted),) if exhausted else ()
            await self._context.abort(CODES[type(error)], str(error), trailing)
        elif isinstance(error, Exception):
            kind = type(error).__name__
            log_limited("call.failed", kind, level=ERROR, error=kind, exc_info=error)
            await self._context.abort(grpc.StatusCode.INTERNAL, _UNEXPECTED)


def _log_refusal(error: errors.CallError) -> None:
    """Log what is a fault of ours, and what a limit of ours refused, but no caller's fault.

    All lines go through the rate limit, since a caller can make as many calls as it likes.
    """
    kind = type(error).__name__
    match error:
        case errors.BytesLost():
            log_limited("call.failed", kind, level=ERROR, error=kind, exc_info=error)
        case errors.CallError(__cause__=Exception()):
            log_limited("call.failed", kind, error=kind, exc_info=error)
        case errors.LeaseLost() | errors.TooManyCalls() | errors.OwnerFull():
            details = " ".join([str(error), *getattr(error, "__notes__", ())])
            log_limited("call.refused", kind, error=kind, reason=details)
