"""Every error has its response."""

from http import HTTPStatus

import orjson
import pytest

from gateway import errors
from gateway.problems import STATUS, response_to

KINDS = errors.RequestError.__subclasses__()


def content(error: Exception) -> dict[str, object]:
    body = response_to(error).body
    assert isinstance(body, bytes)
    parsed: dict[str, object] = orjson.loads(body)
    return parsed


def test_every_error_of_ours_has_a_status() -> None:
    assert set(KINDS) <= set(STATUS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_something_by_itself(kind: type[errors.RequestError]) -> None:
    detail = str(kind())
    assert detail
    assert "\n" not in detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_problem_says_status_title_and_detail(kind: type[errors.RequestError]) -> None:
    response = response_to(kind())
    assert response.content_type == "application/problem+json"
    assert response.status == STATUS[kind]
    assert content(kind()) == {
        "title": HTTPStatus(STATUS[kind]).phrase,
        "status": STATUS[kind].value,
        "detail": str(kind()),
    }


def test_an_error_that_nobody_foresaw_is_500_and_its_words_stay_here() -> None:
    error = RuntimeError("/secret/path")
    assert response_to(error).status == 500
    assert "secret" not in str(content(error))


@pytest.mark.parametrize("kind", [errors.QueueUnavailable, errors.TooManyRequests])
def test_what_passes_by_itself_says_when_to_try_again(kind: type[errors.RequestError]) -> None:
    assert int(response_to(kind()).headers["Retry-After"]) > 0


def test_a_range_that_cannot_be_satisfied_tells_the_size() -> None:
    """RFC 9110, section 15.5.17."""
    error = errors.RangeNotSatisfiable(15)
    assert response_to(error).headers["Content-Range"] == "bytes */15"
