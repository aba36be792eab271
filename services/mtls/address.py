"""An address of TCP, as it is written in settings and logs."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or whom to call: a host name or IP address, and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`; an IPv6 address stands in brackets. Raises `ValueError`."""
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        valid_port = port.isascii() and port.isdigit() and int(port) < 2**16
        if not host or not valid_port or (":" in host and not bracketed):
            raise ValueError(
                f"{text!r} is no address: write host:port, such as 127.0.0.1:8443 or [::1]:8443."
            )
        return cls(host, int(port))

    @classmethod
    def of(cls, address: "Self | str") -> "Self":
        """Return the address itself, or read it from its text. Raises `ValueError`."""
        return cls.parse(address) if isinstance(address, str) else address

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
