"""Page tokens: ours come back as they went out, and nobody else's are taken."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_queue.api import pages
from video_queue.api.pages import decode_page_token, encode_page_token, page_size_of
from video_queue.domain.errors import InvalidRequest

positions = st.integers(1, 2**63 - 1)


@given(positions)
def test_a_token_leads_back_to_its_position(position: int) -> None:
    token = encode_page_token(position)
    assert decode_page_token(token) == position
    assert len(token) == 22


@given(positions, st.data())
def test_a_token_with_another_letter_is_refused(position: int, data: st.DataObject) -> None:
    token = encode_page_token(position)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters().filter(lambda letter: letter != token[place]))
    with pytest.raises(InvalidRequest):
        decode_page_token(token[:place] + letter + token[place + 1 :])


def forged(packed: bytes) -> str:
    """A token with the right checksum, which needs no secret."""
    checksum = pages._checksum(packed)  # noqa: SLF001
    return base64.urlsafe_b64encode(packed + checksum).decode().rstrip("=")


@given(st.integers(2**63, 2**64 - 1) | st.just(0))
@example(2**63)
def test_a_forged_token_of_no_position_is_refused(position: int) -> None:
    """A database has no such number, and would fail."""
    with pytest.raises(InvalidRequest, match="page token"):
        decode_page_token(forged(position.to_bytes(8, "big")))


@given(st.binary(max_size=24))
def test_a_forged_token_of_any_bytes_is_a_position_or_refused(packed: bytes) -> None:
    try:
        position = decode_page_token(forged(packed))
    except InvalidRequest:
        return
    assert 0 < position < 2**63


def test_a_forged_token_of_a_position_is_the_queue_s_own() -> None:
    assert forged((7).to_bytes(8, "big")) == encode_page_token(7)


@given(st.text(max_size=40))
def test_a_guess_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_page_token(text)


@given(positions, st.text(min_size=1, max_size=5))
def test_a_token_with_something_added_is_refused(position: int, more: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_page_token(encode_page_token(position) + more)


@pytest.mark.parametrize(("requested", "given_out"), [(0, 50), (1, 1), (200, 200), (201, 200)])
def test_a_page_has_no_more_than_the_limit(requested: int, given_out: int) -> None:
    assert page_size_of(requested) == given_out


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        page_size_of(-1)
