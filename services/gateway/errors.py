"""What can go wrong with a request, and how the client is told: problem details (RFC 9457)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import ClassVar, Final

import orjson
import structlog
from aiohttp import web

_log = structlog.get_logger(__name__)

RETRY_AFTER: Final[Mapping[str, str]] = {"Retry-After": "5"}  # in seconds


class RequestError(Exception):
    """The request cannot be served. The message is for the client, so it names nothing inside."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Mapping[str, str] = {}

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class InvalidRequest(RequestError):
    """The request does not say what it should: see /openapi.json."""

    status = HTTPStatus.BAD_REQUEST


class NotAllowed(RequestError):
    """This certificate may not do that."""

    status = HTTPStatus.FORBIDDEN


class NotFound(RequestError):
    """There is nothing with this name: check the path."""

    status = HTTPStatus.NOT_FOUND


class ClientTooSlow(RequestError):
    """The client sent or took nothing for too long: try again over a better connection."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Conflict(RequestError):
    """Something else is under way that does not allow this: try again when it has ended."""

    status = HTTPStatus.CONFLICT
    headers = RETRY_AFTER


class TooManyRequests(RequestError):
    """The server has too much to do: try again later."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    headers = RETRY_AFTER


class UnexpectedError(RequestError):
    """Something went wrong in the server; its log says what. Try again later."""


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


def response_to(error: Exception) -> web.Response:
    """Return the problem details of `error`; those of an unexpected one reveal nothing."""
    match error:
        case RequestError():
            status, headers, detail = error.status, error.headers, str(error)
        case _:
            return response_to(UnexpectedError())
    # Without a `type` of its own, a problem's title is the status phrase (RFC 9457, section 4.2.1).
    problem = {"title": status.phrase, "status": status.value, "detail": detail}
    return web.Response(
        status=status,
        headers=headers,
        body=orjson.dumps(problem),
        content_type="application/problem+json",
    )


@web.middleware
async def problem_details(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what went wrong in a handler, and log it."""
    try:
        return await handler(request)
    except ConnectionError:
        raise  # the client has gone: the request ends silently
    except Exception as error:
        response = response_to(error)
        _log_failure(request, response.status, error)
        if request.writer.output_size > 0:
            # A part of another response is out. Only a closed connection says that it is not whole.
            if request.transport:
                request.transport.close()
            raise ConnectionAbortedError from error
        if request.can_read_body:
            response.force_close()  # tells the client not to send the rest: nobody reads it
        return response


def _log_failure(request: web.Request, status: int, error: Exception) -> None:
    resource = request.match_info.route.resource
    action = f"{request.method} {resource.canonical if resource else ''}"
    if not isinstance(error, RequestError):
        _log.error("request.failed", method=action, status=status, exc_info=error)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request.failed", method=action, status=status, detail=str(error))
    else:
        _log.info("request.failed", method=action, status=status, detail=str(error))
