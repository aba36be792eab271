"""What is said over the pipe, and what is not believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.job import Made
from transcoder.sandbox.messages import (
    MAX_LINE_BYTES,
    BadMessage,
    Failed,
    Finished,
    Message,
    Progress,
    decode,
    encode,
)

MADE = Made("360p", 640, 360, 3.5)
FACTS = {"name": "360p", "width": 640, "height": 360, "duration_seconds": 3.5}


@pytest.mark.parametrize(
    "message",
    [Progress(0), Progress(999), Finished((MADE, MADE)), Failed("TooLong", "Too long: cut it.")],
)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert decode(encode(message)) == message


def test_everything_that_is_made_fits_into_a_line() -> None:
    made = Made("thumbnail", 16_384, 16_384, 14_400.123456789012)
    assert len(encode(Finished((made,) * 4))) < MAX_LINE_BYTES


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"progress": -1},
        {"progress": 1000},
        {"progress": 0.5},
        {"progress": "1"},
        {"files": {}},
        {"files": [1]},
        {"files": [{}]},
        {"files": [FACTS | {"path": "/etc/passwd"}]},
        {"files": [FACTS | {"width": 0}]},
        {"files": [FACTS | {"height": 10**9}]},
        {"files": [FACTS | {"width": 1.5}]},
        {"files": [FACTS | {"duration_seconds": -1}]},
        {"files": [FACTS | {"duration_seconds": float("inf")}]},
        {"files": [FACTS | {"duration_seconds": float("nan")}]},
        {"files": [FACTS | {"duration_seconds": 10**400}]},
        {"files": [FACTS | {"duration_seconds": None}]},
        {"error": "TooLong"},
        {"error": "TooLong", "text": 1},
        {"error": 1, "text": ""},
        {"error": "TooLong", "text": "one\ntwo"},
        {"error": "TooLong", "text": "\x1b[2J"},
    ],
)
def test_any_other_content_is_refused(content: object) -> None:
    with pytest.raises(BadMessage):
        decode(json.dumps(content).encode())


@pytest.mark.parametrize("line", [b"", b"\n", b"\xff", b"{", b"[" * 4000, b"1" * 4000])
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(line)


@given(st.binary(max_size=MAX_LINE_BYTES))
def test_no_bytes_do_anything_but_to_be_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(line)


def test_a_text_is_not_longer_than_a_person_reads() -> None:
    message = decode(json.dumps({"error": "TooLong", "text": "x" * 3000}).encode())
    assert isinstance(message, Failed)
    assert len(message.text) == 200
