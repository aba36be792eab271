"""The rules of titles, descriptions, content types, reports and ranges."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from video_queue.domain.errors import InvalidRequest, RangeNotSatisfiable
from video_queue.domain.videos import Limits, Metadata, Report, VideoStatus, byte_range

LIMITS = Limits(
    upload_bytes=1,
    title_length=20,
    description_length=30,
    rendition_bytes=1,
    renditions=1,
    pending_per_owner=1,
)


def checked(
    title: str = "title", description: str = "", content_type: str = "video/mp4"
) -> Metadata:
    return Metadata.checked(title, description, content_type, LIMITS)


@pytest.mark.parametrize(
    "title", ["Ünïcödé", "日本語", "👨‍👩‍👧 family", "x" * 20, "a  b", "<script>", "'; DROP TABLE"]
)
def test_a_title_in_any_script_is_taken_as_it_is(title: str) -> None:
    assert checked(title).title == title


def test_a_title_loses_the_space_around_it() -> None:
    assert checked(" \t title \n").title == "title"


@pytest.mark.parametrize("title", ["", "   ", "\u00a0", "\u200d", "\n", "\u200b \u200d"])
def test_a_title_without_anything_to_see_is_refused(title: str) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        checked(title)


@pytest.mark.parametrize("control", ["\0", "\n", "\r", "\x1b", "\x7f", "\x9b", "\u2028", "\u2029"])
def test_a_control_character_in_a_title_is_refused(control: str) -> None:
    with pytest.raises(InvalidRequest, match=f"U\\+{ord(control):04X}"):
        checked(f"a{control}b")


@pytest.mark.parametrize(
    "invisible",
    [
        *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",  # direction
        *"\u200b\u2060\ufeff\u00ad\U000e0041",  # without width
    ],
)
def test_a_character_that_turns_or_hides_text_is_refused(invisible: str) -> None:
    """The twins of these are the joiners of emoji, and Hebrew, which turns by itself."""
    for field in ("title", "description"):
        with pytest.raises(InvalidRequest, match=f"{field} has .* U\\+{ord(invisible):04X}"):
            checked(**{field: f"a{invisible}fdp.exe"})
    assert checked(title="👨‍👩‍👧 שלום").title == "👨‍👩‍👧 שלום"


@given(st.text(max_size=25))
def test_of_all_that_cannot_be_seen_a_title_has_the_joiners_at_most(title: str) -> None:
    try:
        taken = checked(title).title
    except InvalidRequest:
        return
    unseen = {c for c in taken if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}}
    assert unseen <= {"\u200c", "\u200d"}


def test_a_description_may_have_lines_and_no_other_control_characters() -> None:
    assert checked(description="one\r\ntwo\tthree").description == "one\r\ntwo\tthree"
    with pytest.raises(InvalidRequest, match=r"description has .* U\+001B"):
        checked(description="\x1b[31m")


@pytest.mark.parametrize(("field", "limit"), [("title", 20), ("description", 30)])
def test_a_text_may_have_its_limit_and_not_one_more(field: str, limit: int) -> None:
    assert getattr(checked(**{field: "ü" * limit}), field) == "ü" * limit
    with pytest.raises(InvalidRequest, match=f"{field} has {limit + 1} characters: {limit}"):
        checked(**{field: "ü" * (limit + 1)})


@pytest.mark.parametrize("content_type", ["video/mp4", "video/x-matroska", "video/vnd.dlna.mpeg"])
def test_a_video_type_is_taken(content_type: str) -> None:
    assert checked(content_type=content_type.upper()).content_type == content_type


@pytest.mark.parametrize(
    "content_type",
    ["", "video", "video/", "video//mp4", "video/mp4;a=b", "video/mp4\n", "text/html", "video/ü",
     "video/" + "x" * 128, "application/octet-streams", "image/video/mp4", "video/.mp4"],
)  # fmt: skip
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="content type"):
        checked(content_type=content_type)


@given(st.text(max_size=25), st.text(max_size=35), st.text(max_size=30))
@example("a", "b\n", "video/mp4")
def test_metadata_is_within_the_rules_or_refused(
    title: str, description: str, content_type: str
) -> None:
    try:
        metadata = checked(title, description, content_type)
    except InvalidRequest:
        return
    assert 0 < len(metadata.title) <= 20
    assert len(metadata.description) <= 30
    assert metadata.title == metadata.title.strip()
    assert not any(unicodedata.category(c) == "Cc" for c in metadata.title)
    assert metadata.content_type.isascii()
    assert " " not in metadata.content_type


@given(
    size=st.integers(1, 1000),
    offset=st.integers(-5, 1005),
    length=st.none() | st.integers(-5, 2**63 - 1),
)
def test_a_range_is_what_slicing_says_or_refused(
    size: int, offset: int, length: int | None
) -> None:
    content = range(size)
    negative = offset < 0 or (length is not None and length < 0)
    try:
        positions = byte_range(size, offset, length)
    except InvalidRequest:
        assert negative
    except RangeNotSatisfiable:
        assert offset >= size
    else:
        assert not negative
        end = None if length is None else offset + length
        assert list(positions) == list(content[offset:end])


@pytest.mark.parametrize("percent", [-1, 101, 2**31 - 1])
def test_progress_is_a_percentage(percent: int) -> None:
    with pytest.raises(InvalidRequest, match="0 to 100"):
        Report.checked(VideoStatus.PROCESSING, percent, "")
    assert Report.checked(VideoStatus.PROCESSING, 100, "").progress_percent == 100


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 501, "\x1b[2J"])
def test_a_failure_needs_a_decent_reason(reason: str) -> None:
    with pytest.raises(InvalidRequest):
        Report.checked(VideoStatus.FAILED, 0, reason)
    assert Report.checked(VideoStatus.FAILED, 7, " no picture ").failure_reason == "no picture"


def test_a_completed_video_is_done_to_the_full() -> None:
    assert Report.checked(VideoStatus.COMPLETED, 7, "ignored") == Report(
        VideoStatus.COMPLETED, 100, ""
    )


def test_a_worker_cannot_report_pending() -> None:
    with pytest.raises(InvalidRequest, match="PROCESSING, COMPLETED or FAILED"):
        Report.checked(VideoStatus.PENDING, 0, "")
