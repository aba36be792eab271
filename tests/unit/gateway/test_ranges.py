"""The Range header, RFC 9110, section 14."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.videos.errors import RangeNotSatisfiable
from gateway.videos.ranges import ByteRange, parse_range

SIZES = st.integers(1, 10_000)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", ByteRange(0, 499)),
        ("bytes=9500-", ByteRange(9500, 9999)),
        ("bytes=-500", ByteRange(9500, 9999)),
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=9999-10000", ByteRange(9999, 9999)),
        ("bytes=-10001", ByteRange(0, 9999)),
        ("bytes=0-" + "9" * 100, ByteRange(0, 9999)),
        ("BYTES=1-2", ByteRange(1, 2)),
        ("bytes= 1-2 ,", ByteRange(1, 2)),
    ],
)
def test_a_range_of_ten_thousand_bytes(header: str, expected: ByteRange) -> None:
    assert parse_range(header, 10_000) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=2-1",
        "bytes=0-1,3-4",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1--2",
        "bytes=\u0661-\u0662",  # digits, but not ASCII ones
        "bytes=" + "1" * 5000 + "-",
        "seconds=0-1",
        " bytes=0-1",
    ],
)
def test_what_is_no_single_byte_range_is_ignored(header: str) -> None:
    assert parse_range(header, 10_000) is None


@pytest.mark.parametrize("header", ["bytes=10000-", "bytes=10000-10001", "bytes=-0"])
def test_a_range_without_a_byte_of_the_file_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, 10_000)
    assert caught.value.headers == {"Content-Range": "bytes */10000"}


@given(SIZES, st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_range_is_the_slice_that_it_names(size: int, first: int, extra: int) -> None:
    file = range(size)
    last = first + extra
    try:
        part = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert not file[first : last + 1]
    else:
        assert part is not None
        assert file[part.first : part.last + 1] == file[first : last + 1]


@given(SIZES, st.integers(1, 20_000))
def test_a_suffix_is_the_end_of_the_file(size: int, suffix: int) -> None:
    part = parse_range(f"bytes=-{suffix}", size)
    assert part is not None
    assert range(size)[part.first : part.last + 1] == range(size)[-suffix:]


@given(st.one_of(st.text(), st.text("bytes=-,0123456789 ").map("bytes=".__add__)), SIZES)
def test_whatever_is_asked_for_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    if part is not None:
        assert 0 <= part.first <= part.last < size
        assert part.length == part.last - part.first + 1
        assert part.content_range(size) == f"bytes {part.first}-{part.last}/{size}"
