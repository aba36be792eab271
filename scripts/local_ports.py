"""Ports for servers of others, which cannot be told to take any that is free and to say which."""

import secrets
import socket
from contextlib import ExitStack, suppress
from typing import Final

# Below those that the kernel gives to whoever asks for none, a client too (Linux: 32768 and above):
# so the port is still free when the server comes, and when it is started again.
_PORTS: Final = range(10_000, 20_000)


def unused_port(*hosts: str) -> int:
    """Return a port that is free at each of these IP addresses of this machine."""
    while True:
        port = secrets.choice(_PORTS)
        with ExitStack() as tried, suppress(OSError):
            for host in hosts:
                tried.enter_context(socket.socket()).bind((host, port))
            return port
