"""What an attacker knows of its target, and how it gets there.

Only the standard library is imported here: every attacking process begins by importing this.
"""

import socket
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

TIMEOUT_SECONDS: Final = 30
# All of 127.0.0.0/8 is this machine: an attacker has an address that is not the honest client's.
ATTACKER: Final = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class Target:
    """A server, the CA that vouches for it, and what we show to it: None is no certificate."""

    address: str
    ca_pem: bytes
    key_pair_pem: bytes | None = None
    source: str = ATTACKER

    def connect(self) -> socket.socket:
        """Return a TCP connection."""
        host, _, port = self.address.rpartition(":")
        source = (self.source, 0)
        return socket.create_connection((host, int(port)), TIMEOUT_SECONDS, source_address=source)

    def connect_tls(self) -> ssl.SSLSocket:
        """Return a TLS connection. In TLS 1.3 it may have been refused, and we not know it yet."""
        host, _, _ = self.address.rpartition(":")
        plain = self.connect()
        try:
            return _context(self.ca_pem, self.key_pair_pem).wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


@cache
def _context(ca_pem: bytes, key_pair_pem: bytes | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem.decode("ascii"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    if key_pair_pem:
        with tempfile.TemporaryDirectory() as folder:  # readable by its owner alone
            path = Path(folder) / "key-pair.pem"
            path.write_bytes(key_pair_pem)
            context.load_cert_chain(path)
    return context
