"""What may stand in the URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.videos.handlers import page_of


def test_without_parameters_the_queue_chooses_and_begins_at_the_front() -> None:
    assert page_of({}) == (0, "")


@given(st.integers(1, 200), st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_page(size: int, token: str) -> None:
    assert page_of({"page_size": str(size), "page_token": token}) == (size, token)


@pytest.mark.parametrize(
    "size", ["", "0", "201", "-1", "+1", "1.0", "ten", "1_0", "\u0661", "9" * 5000]
)
def test_another_page_size_is_refused(size: str) -> None:
    with pytest.raises(InvalidRequest, match="page_size is a whole number from 1 to 200"):
        page_of({"page_size": size})


@pytest.mark.parametrize("token", ["a b", "\n", "ä", "\udcff", "x" * 1025])
def test_what_cannot_be_a_page_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        page_of({"page_token": token})
