"""gRPC status codes -> the gateway's errors: the one place where they meet."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import grpc
import grpc.aio
import structlog

from gateway.errors import (
    Conflict,
    InvalidRequest,
    KeyUsed,
    NotAllowed,
    QueueFailed,
    QueueTimedOut,
    QueueUnavailable,
    RangeNotSatisfiable,
    RequestError,
    TooManyRequests,
    VideoNotFound,
)

_log = structlog.get_logger(__name__)

# What the client can mend. The queue's own words are passed on, since they say how.
_MENDABLE: Final[Mapping[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.NOT_FOUND: VideoNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.ALREADY_EXISTS: KeyUsed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooManyRequests,
}
# What it cannot. The words stay in our log: they name hosts, or come from gRPC itself.
_NOT_MENDABLE: Final[Mapping[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.OUT_OF_RANGE: RangeNotSatisfiable,
    grpc.StatusCode.UNAVAILABLE: QueueUnavailable,
    grpc.StatusCode.CANCELLED: QueueUnavailable,  # the queue is shutting down
    # Our certificate has expired or was revoked; when it has been renewed, this passes.
    grpc.StatusCode.UNAUTHENTICATED: QueueUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: QueueTimedOut,
}


@contextmanager
def queue_errors(*, exhausted: type[RequestError] = TooManyRequests) -> Iterator[None]:
    """Raise the gateway's error for a call that failed; `exhausted` for RESOURCE_EXHAUSTED."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        code, words = error.code(), error.details()
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise exhausted(words) from error
        if mendable := _MENDABLE.get(code):
            raise mendable(words) from error
        _log.warning("queue.call_failed", code=code.name, words=words)
        raise _NOT_MENDABLE.get(code, QueueFailed) from error
