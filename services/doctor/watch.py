"""Watching a handshake: the one place that uses a private interface of Python.

`SSLContext._msg_callback` (bpo-34271, made for debugging) hands out every handshake message in
clear, TLS 1.3's encrypted ones too, and those of a handshake that fails. Public API has neither:
without it, a certificate that does not verify could only be looked at by not verifying it.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final


class Direction(StrEnum):
    """Whose message it is."""

    SENT = "sent"
    RECEIVED = "received"


class ContentType(IntEnum):
    """What a TLS record carries (RFC 8446, section 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    DATA = 23


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it went over the connection.

    `version` is the protocol's number, such as 0x0304 for TLS 1.3; `body` of a handshake message
    begins with its type and length (RFC 8446, section 4); `seconds` counts from the connection.
    """

    direction: Direction
    content_type: ContentType
    version: int
    body: bytes
    seconds: float


_DIRECTIONS: Final = {"write": Direction.SENT, "read": Direction.RECEIVED}
_WATCHED: Final = {ContentType.CHANGE_CIPHER_SPEC, ContentType.ALERT, ContentType.HANDSHAKE}


def watch(
    context: ssl.SSLContext, clock: Callable[[], float], report: Callable[[Message], None]
) -> None:
    """Call `report` with each message of every connection that `context` makes."""

    def on_message(  # the interface prescribes the parameters
        _connection: object,
        direction: str,
        version: int,
        content_type: int,
        _message_type: int,
        body: bytes,
    ) -> None:
        if content_type in _WATCHED:  # others are the headers of records, without their content
            report(
                Message(_DIRECTIONS[direction], ContentType(content_type), version, body, clock())
            )

    context._msg_callback = on_message  # type: ignore[attr-defined]  # noqa: SLF001
