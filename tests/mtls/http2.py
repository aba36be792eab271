"""HTTP/2 by hand (RFC 9113): the frames that no client library would send."""

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 16 * 1024
CANCEL: Final = 8  # the error code of a client that has lost interest


class Frame(IntEnum):
    """Types of frames (section 6)."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    CONTINUATION = 9


class Flag(IntFlag):
    """Flags of frames (section 6)."""

    NONE = 0
    END_STREAM = 1
    END_HEADERS = 4


def frame(kind: Frame, payload: bytes = b"", stream: int = 0, flags: Flag = Flag.NONE) -> bytes:
    """Return a frame (section 4.1)."""
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as literals that nobody is to remember (RFC 7541, section 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(text: str) -> bytes:
    data = text.encode("ascii")
    return _length(len(data)) + data


def _length(number: int) -> bytes:
    """Return an integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if number < 127:
        return bytes((number,))
    number -= 127
    coded = bytearray((127,))
    while number >= 128:
        coded.append(number % 128 + 128)
        number //= 128
    coded.append(number)
    return bytes(coded)


def call_headers(path: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a gRPC call."""
    return header_block(
        (
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *more,
        )
    )
