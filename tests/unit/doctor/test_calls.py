"""Reading an HTTP answer that may be cut off, late, or no HTTP at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.calls import Protocol, parse_response, question_for
from doctor.connection import Target

HEAD = b"HTTP/1.1 403 Forbidden\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n"


def test_reads_status_headers_and_body() -> None:
    response = parse_response(HEAD + b"\r\nno")
    assert response is not None
    assert (response.status, response.reason, response.body) == (403, "Forbidden", b"no")
    assert response.headers["Date"] == "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    "answer", [b"", HEAD, b"SSH-2.0\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 20\r\n\r\n"]
)
def test_what_is_no_whole_head_is_none(answer: bytes) -> None:
    assert parse_response(answer) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (HEAD, False),
        (HEAD + b"Content-Length: 2\r\n\r\n", False),
        (HEAD + b"Content-Length: 2\r\n\r\nno", True),
        (HEAD + b"Content-Length: 0\r\n\r\n", True),
        (HEAD + b"\r\nuntil it closes", False),
        (HEAD + b"\r\n" + b"a" * 20_000, True),
        (HEAD + b"Content-Length: x\r\n\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", True),
        (b"a" * 20_000, True),
    ],
)
def test_knows_when_the_answer_is_enough(answer: bytes, *, expected: bool) -> None:
    question = question_for(Protocol.HTTP, Target("localhost", 1, "localhost"), "/")
    assert question.is_answered(answer) is expected


@given(st.binary(max_size=300))
def test_no_answer_however_broken_raises(rest: bytes) -> None:
    parse_response(HEAD + rest)
    parse_response(b"HTTP/1.1 200 " + rest)
