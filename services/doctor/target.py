"""The server under examination, and the TCP connection to it."""

import ipaddress
import shlex
import socket
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from mtls.errors import MtlsError

from runtime.dial import connect_to_any


class Obstacle(StrEnum):
    """Why there is no TCP connection: nothing of this has to do with certificates."""

    UNKNOWN_NAME = "unknown name"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Target:
    """An address, and the `name` that the server's certificate has to have."""

    host: str
    port: int
    name: str

    def __str__(self) -> str:
        return _with_port(self.host, self.port)

    @property
    def authority(self) -> str:
        """What HTTP calls the server (RFC 9110, section 7.2)."""
        return _with_port(self.name, self.port)

    @property
    def server_hostname(self) -> str:
        """The name for TLS; a trailing dot is DNS's own and is not part of it (RFC 6066, 3)."""
        return self.name.rstrip(".")


class NotReached(MtlsError):
    """There is no TCP connection; the message is the system's."""

    def __init__(self, obstacle: Obstacle, message: str) -> None:
        super().__init__(message)
        self.obstacle = obstacle


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_target(text: str, name: str = "") -> Target:
    """Read HOST:PORT; an IPv6 address stands in brackets. Raises `ValueError`."""
    if "://" in text:
        raise ValueError(_instead_of_url(text))
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8443")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 2**16:
        raise ValueError("give HOST:PORT, such as localhost:8443 or [::1]:8443")
    try:
        name = (name or host).encode("idna").decode("ascii")
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise ValueError(f"{name or host!r} is not a host name") from error
    return Target(host, int(port), name)


def _instead_of_url(url: str) -> str:
    """Say what to give in place of a URL. Raises `ValueError` for a port that is no number."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    path = f", and its path with --http --path {shlex.quote(parts.path)}" if parts.path else ""
    return f"it is a URL; give {_with_port(parts.hostname or 'HOST', port)} instead{path}"


def dial(target: Target, seconds: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers. Raises `NotReached`."""
    try:
        return connect_to_any(target.host, target.port, seconds)
    except socket.gaierror as error:
        raise NotReached(Obstacle.UNKNOWN_NAME, error.strerror or str(error)) from error
    except UnicodeError as error:  # a label that is empty or longer than 63 characters
        raise NotReached(Obstacle.UNKNOWN_NAME, str(error)) from error
    except ConnectionRefusedError as error:
        raise NotReached(Obstacle.REFUSED, error.strerror or str(error)) from error
    except TimeoutError as error:
        raise NotReached(Obstacle.TIMEOUT, f"no answer in {seconds:g} seconds") from error
    except OSError as error:
        raise NotReached(Obstacle.UNREACHABLE, error.strerror or str(error)) from error
