"""What a video is, and which rules it obeys. Nothing here knows gRPC, SQL or files."""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from video_queue.domain.errors import InvalidRequest, RangeNotSatisfiable
from video_queue.domain.renditions import Rendition

Clock = Callable[[], dt.datetime]
"""Says what time it is, in UTC. Tests bring their own, so that no test has to wait."""


def utc_now() -> dt.datetime:
    """Return the time of the machine's clock."""
    return dt.datetime.now(dt.UTC)


_MAX_FAILURE_REASON_LENGTH: Final = 500

# A subtype's characters: RFC 6838, section 4.2. Parameters are not taken.
_CONTENT_TYPE: Final = re.compile(
    r"video/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}|application/octet-stream"
)
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{0,255}")
# Control characters and separators of lines break logs, terminals and headers. Format characters
# make a text look like another one: they turn its direction, or cannot be seen (Unicode Technical
# Report 36, section 2; CVE-2021-42574).
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
# Two format characters are needed to write: emoji are joined by one, Persian words kept apart by
# the other (Unicode Standard Annex 31, section 2.3).
_JOINERS: Final = frozenset("\u200c\u200d")
_LINE_BREAKS_AND_TABS: Final = frozenset("\n\r\t")


class VideoStatus(StrEnum):
    """The life of a video: pending -> processing -> completed or failed."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the status never changes again."""
        return self in {VideoStatus.COMPLETED, VideoStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a video may have, and the most pending videos that an owner may have."""

    upload_bytes: int
    title_length: int
    description_length: int
    rendition_bytes: int
    renditions: int
    pending_per_owner: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the uploader says of a video; only `Metadata.checked` makes one from outside."""

    title: str
    description: str
    content_type: str
    size_limit_bytes: int = 0
    """How many bytes will follow at most; 0 if that is not known."""
    idempotency_key: str = ""
    """What all attempts at this upload have in common; empty if there will be only one."""

    @classmethod
    def checked(
        cls,
        title: str,
        description: str,
        content_type: str,
        limits: Limits,
        *,
        size_limit_bytes: int = 0,
        idempotency_key: str = "",
    ) -> Self:
        """Return the metadata in its stored form. Raises `InvalidRequest`."""
        title = title.strip()
        # A title of joiners and other characters without width is as good as none.
        if not any(each.isprintable() and not each.isspace() for each in title):
            raise InvalidRequest("The title is empty: give the video a name.")
        _check_length("title", title, limits.title_length)
        _check_characters("title", title, allowed=frozenset())
        _check_length("description", description, limits.description_length)
        _check_characters("description", description, allowed=_LINE_BREAKS_AND_TABS)
        content_type = content_type.lower()  # RFC 6838, section 4.2: case does not matter
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise InvalidRequest(
                f"The content type {content_type[:100]!r} is not taken: "
                "send video/mp4 or another video type, or application/octet-stream."
            )
        if size_limit_bytes < 0:
            raise InvalidRequest("The size limit counts bytes: send no negative number.")
        if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise InvalidRequest("An idempotency key has 1 to 255 visible ASCII characters.")
        return cls(title, description, content_type, size_limit_bytes, idempotency_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A stored video. `owner` is a SPIFFE ID, `sha256` 32 bytes; times are in UTC.

    `renditions` are those that can be seen: none before the video is completed.
    """

    id: str
    owner: str
    title: str
    description: str
    content_type: str
    size_bytes: int
    sha256: bytes
    status: VideoStatus
    progress_percent: int
    failure_reason: str
    created_at: dt.datetime
    updated_at: dt.datetime
    renditions: tuple[Rendition, ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to work on a video; `token` grows with every claim of that video."""

    video_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A video to work on. `attempt` is 1 for the first try at it."""

    video: Video
    lease: Lease
    attempt: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of its work. A report that goes on PROCESSING renews the lease."""

    status: VideoStatus
    progress_percent: int
    failure_reason: str

    @classmethod
    def checked(cls, status: VideoStatus, progress_percent: int, failure_reason: str) -> Self:
        """Return the report in its stored form. Raises `InvalidRequest`."""
        match status:
            case VideoStatus.PROCESSING:
                if not 0 <= progress_percent <= 100:
                    raise InvalidRequest("The progress is a percentage: send 0 to 100.")
                return cls(status, progress_percent, "")
            case VideoStatus.COMPLETED:
                return cls(status, 100, "")
            case VideoStatus.FAILED:
                reason = failure_reason.strip()
                if not reason:
                    raise InvalidRequest("A failure needs a reason: say why, for the uploader.")
                _check_length("failure reason", reason, _MAX_FAILURE_REASON_LENGTH)
                _check_characters("failure reason", reason, allowed=_LINE_BREAKS_AND_TABS)
                return cls(status, 0, reason)
            case VideoStatus.PENDING:
                raise InvalidRequest("A worker reports PROCESSING, COMPLETED or FAILED.")


def byte_range(size_bytes: int, offset: int, length: int | None) -> range:
    """Return the positions of the bytes wanted: `length` at most, or all that follow `offset`.

    Raises `InvalidRequest`, or `RangeNotSatisfiable` if there is no byte at `offset`.
    """
    if offset < 0 or (length is not None and length < 0):
        raise InvalidRequest("Offset and length count bytes from 0: send no negative number.")
    if offset >= size_bytes:
        raise RangeNotSatisfiable
    return range(offset, size_bytes if length is None else min(offset + length, size_bytes))


def _check_length(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidRequest(f"The {name} has {len(text)} characters: {limit} are allowed.")


def _check_characters(name: str, text: str, *, allowed: frozenset[str]) -> None:
    for character in text:
        is_refused = unicodedata.category(character) in _REFUSED_CATEGORIES
        if is_refused and character not in allowed | _JOINERS:
            raise InvalidRequest(
                f"The {name} has the control or format character U+{ord(character):04X}, "
                "which cannot be seen: leave it out."
            )
