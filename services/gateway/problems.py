"""Every error becomes an HTTP response here, as application/problem+json (RFC 9457)."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from mtls.peer import PeerError
from mtls.policy import Denied

import orjson
import structlog
from aiohttp import web

from gateway import errors

_log = structlog.get_logger(__name__)

STATUS: Final[Mapping[type[Exception], HTTPStatus]] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    Denied: HTTPStatus.FORBIDDEN,
    PeerError: HTTPStatus.FORBIDDEN,
    errors.VideoNotFound: HTTPStatus.NOT_FOUND,
    errors.RenditionNotFound: HTTPStatus.NOT_FOUND,
    errors.ClientTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedMedia: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.KeyUsed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.QueueFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.QueueUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueueTimedOut: HTTPStatus.GATEWAY_TIMEOUT,
    errors.StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
}
# The channel to the queue tries to connect again after so many seconds at most.
_RETRY_AFTER_SECONDS: Final = "5"


def response_to(error: Exception) -> web.Response:
    """Return the problem details of `error`; of what nobody foresaw, they say nothing."""
    known = next((kind for kind in type(error).__mro__ if kind in STATUS), None)
    status = STATUS[known] if known else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = str(error if known else errors.QueueFailed())
    # Without a `type` of its own, a problem's title is the status phrase (RFC 9457, section 4.2.1).
    problem = {"title": status.phrase, "status": status.value, "detail": detail}
    response = web.Response(
        status=status, body=orjson.dumps(problem), content_type="application/problem+json"
    )
    match error:
        case errors.QueueUnavailable() | errors.TooManyRequests() | errors.Conflict():
            response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
        case errors.RangeNotSatisfiable(size_bytes=int(size_bytes)):
            response.headers["Content-Range"] = f"bytes */{size_bytes}"
    return response


@web.middleware
async def problem_details(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what went wrong in a handler, and log it."""
    try:
        return await handler(request)
    except ConnectionError:
        raise  # the client has gone: aiohttp ends the request without a word
    except Exception as error:
        response = response_to(error)
        _log_failure(request, response.status, error)
        if request.writer.output_size > 0:
            # A part of another response is out. Only a closed connection says that it is not whole.
            raise ConnectionAbortedError from error
        if request.can_read_body:
            response.force_close()  # tells the client not to send the rest: nobody reads it
        return response


def _log_failure(request: web.Request, status: int, error: Exception) -> None:
    if isinstance(error, Denied | PeerError):
        return  # logged where it was decided, as call.denied
    resource = request.match_info.route.resource
    action = f"{request.method} {resource.canonical if resource else ''}"
    if type(error) not in STATUS:
        _log.error("request.failed", method=action, status=status, exc_info=error)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request.failed", method=action, status=status, detail=str(error))
    else:
        _log.info("request.failed", method=action, status=status, detail=str(error))
