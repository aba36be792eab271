"""What an answer of the queue means to a worker: the one place where gRPC status codes end."""

import asyncio
from collections.abc import Mapping
from typing import Final

import grpc
import grpc.aio

from transcoder.errors import TranscoderError


class QueueError(TranscoderError):
    """The queue does not do what it was asked to."""


class TryAgain(QueueError):
    """The call broke off: make it again."""


class QueueUnreachable(TryAgain):
    """The queue does not answer: see that it runs, and that TRANSCODER_QUEUE is its address."""


class CertificateExpired(TryAgain):
    """Our certificate has expired or is revoked: the work goes on when it has been renewed."""


class NotAllowed(QueueError):
    """The queue does not let this certificate do that: check TRANSCODER_IDENTITY."""


class CallRefused(QueueError):
    """The queue refuses this call: its log says why."""


class WorkLost(QueueError):
    """The video is no longer this worker's."""


class LeaseLost(WorkLost):
    """The lease has ended: another worker may have the video by now."""


class VideoDeleted(WorkLost):
    """The video was deleted."""


_MEANINGS: Final[Mapping[grpc.StatusCode, type[QueueError]]] = {
    grpc.StatusCode.ABORTED: LeaseLost,
    grpc.StatusCode.NOT_FOUND: VideoDeleted,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: CertificateExpired,
    grpc.StatusCode.UNAVAILABLE: QueueUnreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: QueueUnreachable,
    grpc.StatusCode.CANCELLED: TryAgain,  # the queue is shutting down
    grpc.StatusCode.UNKNOWN: TryAgain,
    grpc.StatusCode.INTERNAL: TryAgain,
}

# What a step of a call may raise. The two in the middle are for a call that has ended already.
CALL_ERRORS: Final = (
    grpc.aio.AioRpcError,
    grpc.aio.InternalError,
    asyncio.InvalidStateError,
    TimeoutError,
)


def meaning_of(error: Exception) -> QueueError:
    """Return what one of `CALL_ERRORS` means."""
    match error:
        case grpc.aio.AioRpcError():
            code, details = error.code(), error.details() or ""
            return _MEANINGS.get(code, CallRefused)(f"{code.name}: {details}" if details else None)
        case TimeoutError():
            return QueueUnreachable()
        case _:
            return TryAgain()
