"""New connections, one after the other, each with a full handshake; and many that stay open."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from mtls.identity import Identity
from mtls.ssl_contexts import client_context

_SECONDS: Final = 30
_READ_BYTES: Final = 4096
# The preface of HTTP/2 and an empty SETTINGS frame (RFC 9113, section 3.4).
_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")

Connect = Callable[[], socket.socket]


def connector(address: str, identity: Identity | None, *, protocol: str = "http/1.1") -> Connect:
    """Return a function that opens a connection to host:port, over TLS if there is an identity."""
    host, _, port = address.rpartition(":")
    context = identity and client_context(identity, protocols=(protocol,))

    def connect() -> socket.socket:
        plain = socket.create_connection((host, int(port)), timeout=_SECONDS)
        # As curl and browsers do. Without it the first request waits for the server's delayed
        # acknowledgement of the handshake (Nagle's algorithm): 40 ms that nobody's code has taken.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=host) if context else plain

    return connect


def open_and_close(connect: Connect, number: int) -> None:
    """Open so many connections in turn, and end each when our handshake is finished.

    We wait until the server has closed it too: so it has finished its own, and all that follows.
    """
    for _ in range(number):
        with connect() as connection:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(_READ_BYTES):
                pass


def open_and_close_http2(connect: Connect, number: int) -> None:
    """Do the same with HTTP/2, where the server answers our greeting with its settings."""
    for _ in range(number):
        with connect() as connection:
            connection.sendall(_HELLO)
            if not connection.recv(1):
                raise RuntimeError("The server has closed the connection: it refused us.")


def get(connection: socket.socket, path: str) -> int:
    """Send a GET, and return the status of the answer, which is read to its end."""
    send(connection, path)
    return receive(connection)


def send(connection: socket.socket, path: str) -> None:
    """Send a GET."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def receive(connection: socket.socket) -> int:
    """Return the status of an answer, which is read to its end."""
    with connection.makefile("rb") as answer:
        status = int(answer.readline().split()[1])
        length = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        answer.read(length)
    return status


@contextmanager
def held_open(connect: Connect, number: int, path: str) -> Iterator[None]:
    """Hold so many connections open while the body runs; each has had one answer."""
    with ExitStack() as stack:
        for _ in range(number):
            connection = stack.enter_context(connect())
            if (status := get(connection, path)) != 200:
                raise RuntimeError(f"GET {path} was answered with {status}.")
        yield


def is_answered(connect: Connect, path: str) -> bool:
    """Whether a new connection gets a 200."""
    try:
        with connect() as connection:
            return get(connection, path) == 200
    except (OSError, ssl.SSLError, IndexError, ValueError):
        return False
