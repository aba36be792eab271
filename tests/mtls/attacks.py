"""Attacks with TLS and HTTP/1.1, each bounded in time and in the connections that it has open.

They run in processes of their own, so only the standard library is imported here.
"""

import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, cast

from tests.mtls.target import Target

_TICK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 20
_ENDED: Final = "ended by the server"
_READ_BYTES: Final = 64 * 1024
_LARGE_BYTES: Final = 1_000_000
_REQUEST: Final = b"GET /videos HTTP/1.1\r\nHost: localhost\r\n"

Script = Iterator[bytes]
"""What a connection sends, one piece in each tick."""


def half_open(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Connect, and do not begin the handshake."""
    return hold(target.connect, seconds, connections, lambda: iter(()))


def slow_handshake(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Begin the handshake, byte by byte."""
    hello = _client_hello()
    return hold(target.connect, seconds, connections, lambda: _byte_by_byte(hello))


def silent(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Finish the handshake, and say nothing."""
    return hold(target.connect_tls, seconds, connections, lambda: iter(()))


def slow_headers(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Send a request byte by byte."""
    return hold(target.connect_tls, seconds, connections, lambda: _byte_by_byte(_REQUEST * 1000))


def large_header(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Send a header of a megabyte, over and over."""
    large = b"X-Large: " + b"a" * _LARGE_BYTES
    return repeat(target, seconds, lambda: iter((_REQUEST, large)))


def endless_headers(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Send small headers without end."""

    def script() -> Script:
        yield _REQUEST
        while True:
            yield b"X-More: and more\r\n" * 1000

    return repeat(target, seconds, script)


def shake_hands(target: Target, seconds: float, connections: int) -> Counter[str]:
    """Shake hands with what there is to show, be refused, come again."""
    return repeat(target, seconds, lambda: iter(()))


def _byte_by_byte(data: bytes) -> Script:
    return (bytes((byte,)) for byte in data)


def _client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("A handshake does not end before it has begun.")


def hold(
    connect: Callable[[], socket.socket],
    seconds: float,
    connections: int,
    script: Callable[[], Script],
) -> Counter[str]:
    """Keep so many connections open, and send what their scripts say; replace those that end.

    It goes on until one has ended: the server that is to end them may be late.
    """
    made: Counter[str] = Counter()
    until = time.monotonic() + seconds
    latest = until + _PATIENCE_SECONDS
    with selectors.DefaultSelector() as held:

        def end(connection: socket.socket) -> None:
            held.unregister(connection)
            connection.close()
            made[_ENDED] += 1

        while (now := time.monotonic()) < until or (now < latest and not made[_ENDED]):
            if len(held.get_map()) < connections:
                try:
                    connection = connect()
                except OSError:
                    made["not let in"] += 1
                else:
                    made["opened"] += 1
                    connection.settimeout(0)
                    held.register(connection, selectors.EVENT_READ, script())
            is_full = len(held.get_map()) >= connections
            for key, _ in held.select(_TICK_SECONDS if is_full else 0):
                connection = cast("socket.socket", key.fileobj)
                if _has_ended(connection):
                    end(connection)
            for key in list(held.get_map().values()) if is_full else ():
                connection = cast("socket.socket", key.fileobj)
                try:
                    if piece := next(cast("Script", key.data), b""):
                        connection.send(piece)
                except (BlockingIOError, ssl.SSLWantWriteError):
                    pass
                except OSError:
                    end(connection)
        made["open at the end"] = len(held.get_map())
        for key in held.get_map().values():
            cast("socket.socket", key.fileobj).close()
    return made


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(_READ_BYTES)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def repeat(target: Target, seconds: float, script: Callable[[], Script]) -> Counter[str]:
    """Connect, send what the script says until the server ends it, and come again."""
    made: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with target.connect_tls() as connection:
                made["opened"] += 1
                for piece in script():
                    connection.sendall(piece)
                    made["bytes"] += len(piece)
                    if time.monotonic() > until:
                        return made
                while answer := connection.recv(_READ_BYTES):
                    made[answer[:12].decode("latin-1")] += 1
        except OSError:
            made[_ENDED] += 1
    return made
