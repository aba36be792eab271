"""Every error has its response."""

from collections.abc import Iterator

import orjson
import pytest

from gateway.errors import RequestError, TooManyRequests, response_to
from gateway.queue_errors import QueueUnavailable
from gateway.videos.errors import RangeNotSatisfiable


def kinds_of(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    """Yield the kinds of an error, and theirs."""
    for child in kind.__subclasses__():
        yield child
        yield from kinds_of(child)


KINDS = list(kinds_of(RequestError))


def content(error: Exception) -> dict[str, object]:
    body = response_to(error).body
    assert isinstance(body, bytes)
    parsed: dict[str, object] = orjson.loads(body)
    return parsed


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_something_by_itself(kind: type[RequestError]) -> None:
    detail = str(kind())
    assert detail
    assert "\n" not in detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_problem_says_status_title_and_detail(kind: type[RequestError]) -> None:
    response = response_to(kind())
    assert response.content_type == "application/problem+json"
    assert response.status == kind.status
    assert content(kind()) == {
        "title": kind.status.phrase,
        "status": kind.status.value,
        "detail": str(kind()),
    }


def test_an_error_that_nobody_foresaw_is_500_and_its_words_stay_here() -> None:
    error = RuntimeError("/secret/path")
    assert response_to(error).status == 500
    assert "secret" not in str(content(error))


@pytest.mark.parametrize("kind", [QueueUnavailable, TooManyRequests])
def test_what_passes_by_itself_says_when_to_try_again(kind: type[RequestError]) -> None:
    assert int(response_to(kind()).headers["Retry-After"]) > 0


def test_a_range_that_cannot_be_satisfied_tells_the_size() -> None:
    """RFC 9110, section 15.5.17."""
    assert response_to(RangeNotSatisfiable(15)).headers["Content-Range"] == "bytes */15"
