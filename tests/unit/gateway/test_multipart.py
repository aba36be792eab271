"""Taking multipart/form-data apart, however it is cut into pieces."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.videos.form_headers import Part
from gateway.videos.multipart import CHUNK_BYTES, FormReader
from tests.unit.gateway.forms import BOUNDARY, content_of, file_part, form, part, reader_of

# Made of what boundaries are made of, so that half of one turns up in the content.
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\r\n", b"--", b"\r", b"-", BOUNDARY.encode(), b"x"])).map(b"".join),
).filter(lambda content: b"\r\n--" + BOUNDARY.encode() not in b"\r\n" + content)


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the body where the numbers say."""
    edges = [0, *sorted(at % (len(body) + 1) for at in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


async def read_all(reader: FormReader) -> list[tuple[Part, bytes]]:
    found = []
    while head := await reader.next_part():
        found.append((head, await content_of(reader)))
    return found


@given(st.lists(CONTENTS, max_size=4), st.lists(st.integers(0, 10_000), max_size=40))
@example([b"\r\n--" + BOUNDARY.encode()[:-1], b""], list(range(500)))
def test_the_parts_that_went_in_come_out(contents: list[bytes], cuts: list[int]) -> None:
    body = form(*(part(str(number), content) for number, content in enumerate(contents)))
    found = asyncio.run(read_all(reader_of(cut(body, cuts))))
    assert found == [(Part(str(number)), content) for number, content in enumerate(contents)]


@given(st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=10))
def test_a_form_that_breaks_off_anywhere_is_refused(end: int, cuts: list[int]) -> None:
    whole = form(part("title", b"Holiday"), file_part(b"moving pictures"))
    needed = len(whole) - len("\r\n")  # what stands behind the last delimiter has no meaning
    with pytest.raises(InvalidRequest):
        asyncio.run(read_all(reader_of(cut(whole[: end % needed], cuts))))


@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_refused_and_nothing_worse_happens(garbage: bytes, inside: bool) -> None:  # noqa: FBT001
    body = form(garbage) if inside else garbage
    try:
        asyncio.run(read_all(reader_of([body])))
    except InvalidRequest as error:
        assert str(error)  # noqa: PT017  whether it is raised depends on the garbage


async def test_a_large_part_comes_in_chunks_of_limited_size() -> None:
    content = bytes(range(256)) * 4096
    reader = reader_of([form(file_part(content))])
    assert await reader.next_part() == Part("file", "clip.mp4", "video/mp4")
    chunks = []
    while chunk := await reader.read_chunk():
        chunks.append(chunk)
    assert b"".join(chunks) == content
    assert {len(chunk) for chunk in chunks} == {CHUNK_BYTES}


async def test_what_has_come_is_handed_out_before_more_is_read() -> None:
    body = form(part("title", b"x" * 1000))
    pieces = iter([body[:600]])

    async def read() -> bytes:
        return next(pieces)  # there is no second piece: to ask for it would fail

    reader = FormReader(read, BOUNDARY)
    await reader.next_part()
    assert len(await reader.read_chunk()) > 400


async def test_nothing_is_read_ahead_of_the_chunk_that_is_wanted() -> None:
    head = b"--" + BOUNDARY.encode() + b"\r\n" + file_part(b"")
    given_out = 0

    async def read() -> bytes:
        nonlocal given_out
        given_out += CHUNK_BYTES
        return b"\0" * CHUNK_BYTES if given_out > CHUNK_BYTES else head

    reader = FormReader(read, BOUNDARY)
    await reader.next_part()
    taken = 0
    for _ in range(20):
        taken += len(await reader.read_chunk())
        assert given_out - taken <= 2 * CHUNK_BYTES


async def test_text_before_the_first_and_after_the_last_part_is_passed_over() -> None:
    body = b"Hello\r\n" + form(part("title", b"Holiday")) + b"Goodbye"
    assert await read_all(reader_of([body])) == [(Part("title"), b"Holiday")]


@pytest.mark.parametrize(
    "broken",
    [
        part("title", b"Holiday").replace(b"form-data", b"attachment"),
        part("title", b"Holiday").replace(b'; name="title"', b""),
        part("file", b"", "Content-Transfer-Encoding: base64"),
        part("file", b"", "X-Long: " + "x" * 10_000),
        part("file", b"").replace(b"file", b"\xff"),
    ],
)
async def test_a_part_with_unusable_headers_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await read_all(reader_of([form(broken)]))


@pytest.mark.parametrize("endless", [b"preamble", b"--" + BOUNDARY.encode() + b"\r\nX: "])
async def test_what_never_becomes_a_part_is_given_up(endless: bytes) -> None:
    pieces = 0

    async def read() -> bytes:
        nonlocal pieces
        pieces += 1
        return b"x" * 1000 if pieces > 1 else endless

    with pytest.raises(InvalidRequest):
        await FormReader(read, BOUNDARY).next_part()
    assert pieces < 20
