"""gRPC status codes -> HTTP errors: the one place where they meet."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import grpc
import grpc.aio
import structlog

from gateway.errors import (
    RETRY_AFTER,
    Conflict,
    InvalidRequest,
    NotAllowed,
    RequestError,
    TooManyRequests,
)
from gateway.videos.errors import (
    KeyUsed,
    RangeNotSatisfiable,
    StoreFull,
    TooLarge,
    VideoNotFound,
)

_log = structlog.get_logger(__name__)


class QueueUnavailable(RequestError):
    """The queue cannot be reached now: try again in a few seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = RETRY_AFTER


class QueueTimedOut(RequestError):
    """The queue did not answer in time: try again later."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class QueueFailed(RequestError):
    """Something went wrong behind the gateway; its log says what. Try again later."""


# The client can fix these. The queue's message says how, so it is passed on.
_FIXABLE: Final[Mapping[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.NOT_FOUND: VideoNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.ALREADY_EXISTS: KeyUsed,
}
# What RESOURCE_EXHAUSTED says in its trailing metadata, unless waiting helps.
_EXHAUSTED: Final[Mapping[str | bytes, type[RequestError]]] = {
    "store": StoreFull,
    "file-size": TooLarge,
}
# The client cannot fix these. The message stays in our log: it names hosts, or is gRPC's own.
_NOT_FIXABLE: Final[Mapping[grpc.StatusCode, type[RequestError]]] = {
    grpc.StatusCode.OUT_OF_RANGE: RangeNotSatisfiable,
    grpc.StatusCode.UNAVAILABLE: QueueUnavailable,
    grpc.StatusCode.CANCELLED: QueueUnavailable,  # the queue is shutting down
    # Our certificate has expired or was revoked: this ends when it has been renewed.
    grpc.StatusCode.UNAUTHENTICATED: QueueUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: QueueTimedOut,
}


@contextmanager
def queue_errors() -> Iterator[None]:
    """Raise the gateway's error for a call that failed."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        code, details = error.code(), error.details()
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            exhausted = error.trailing_metadata().get("exhausted", "")
            raise _EXHAUSTED.get(exhausted, TooManyRequests)(details) from error
        if kind := _FIXABLE.get(code):
            raise kind(details) from error
        _log.warning("queue.call_failed", code=code.name, error=details)
        raise _NOT_FIXABLE.get(code, QueueFailed) from error
