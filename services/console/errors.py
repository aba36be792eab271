"""What can go wrong with a request, and how the page is told: problem details (RFC 9457).

Two members more than usual, because the reader is a person: `tried` says what was tried, and `fix`
what to do.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import ClassVar, Final

import orjson
import structlog
from aiohttp import web

_log = structlog.get_logger(__name__)

PROBLEM: Final = "application/problem+json"


class ConsoleError(Exception):
    """The request cannot be served."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    fix: str = ""
    tried: str = ""

    def __init__(self, message: str | None = None, *, fix: str = "", tried: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.fix, self.tried = fix or self.fix, tried or self.tried


class InvalidRequest(ConsoleError):
    """The request does not say what it should."""

    status = HTTPStatus.BAD_REQUEST
    fix = "Reload the page: it may be older than the console."


class Busy(ConsoleError):
    """The console is doing this already."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    fix = "Wait until what is under way has ended, then try again."


class Unreachable(ConsoleError):
    """The other side does not answer."""

    status = HTTPStatus.BAD_GATEWAY


class TookTooLong(ConsoleError):
    """Somebody sent nothing for too long."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    fix = "Try again."


def problem(status: HTTPStatus, detail: str, **more: str) -> web.Response:
    """Return problem details; empty members are left out."""
    content = {"title": status.phrase, "status": status.value, "detail": detail}
    content |= {name: text for name, text in more.items() if text}
    return web.Response(status=status, body=orjson.dumps(content), content_type=PROBLEM)


@web.middleware
async def problem_details(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what went wrong in a handler, and log it if it is unexpected."""
    try:
        return await handler(request)
    except ConsoleError as error:
        response = problem(error.status, str(error), fix=error.fix, tried=error.tried)
    except web.HTTPException as error:  # of the router: 404 and 405
        response = problem(HTTPStatus(error.status), "There is no such path.")
    except ConnectionError:
        raise  # the browser has gone: aiohttp ends the request silently
    except Exception as error:  # noqa: BLE001  whatever it is, it is one request's own
        _log.error("request.failed", method=request.method, path=request.path, exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        response = problem(status, "Something went wrong in the console; its log says what.")
    if request.writer.output_size > 0:
        # A part of another response is out. Only a closed connection says that it is not whole.
        raise ConnectionAbortedError
    if request.can_read_body:
        response.force_close()
    return response
