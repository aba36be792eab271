"""Clients that are refused as fast as they can be, in processes of their own.

Only the standard library is imported here: every process begins by importing this.
"""

import itertools
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_THREADS: Final = 8
_TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Attacker:
    """A client that must be refused for `reason`; `key_pair_pem` is None if it shows nothing."""

    reason: str
    ca_pem: bytes
    key_pair_pem: bytes | None
    speaks_tls: bool

    def attack(self) -> Callable[[str, int], None]:
        """Return how to be refused once at a host and port, until the server has closed."""
        context = self._context()

        def attack(host: str, port: int) -> None:
            with socket.create_connection((host, port), _TIMEOUT_SECONDS) as plain:
                try:
                    if context:
                        with context.wrap_socket(plain, server_hostname=host) as connection:
                            _read_to_the_end(connection)
                    else:
                        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        _read_to_the_end(plain)
                except (ssl.SSLError, ConnectionError):
                    pass

        return attack

    def _context(self) -> ssl.SSLContext | None:
        if not self.speaks_tls:
            return None
        context = ssl.create_default_context(cadata=self.ca_pem.decode("ascii"))
        context.set_alpn_protocols(["h2", "http/1.1"])
        if self.key_pair_pem:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "key-pair.pem"
                path.write_bytes(self.key_pair_pem)
                context.load_cert_chain(path)
        return context


@dataclass(frozen=True, slots=True)
class Attacked:
    """How often we were refused, by reason, and in what time."""

    made: Counter[str]
    seconds: float


def _read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def attack(attackers: list[Attacker], address: str, total: int, rate: float | None) -> Attacked:
    """Be refused `total` times, by turns, `rate` times a second or as often as it goes."""
    host, _, port = address.rpartition(":")
    attacks = itertools.cycle([(attacker.reason, attacker.attack()) for attacker in attackers])
    turns = enumerate(itertools.islice(attacks, total))
    made: Counter[str] = Counter()
    lock, begin = threading.Lock(), time.monotonic()

    def take_turns() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            number, (reason, attack_once) = turn
            if rate:
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            attack_once(host, int(port))
            with lock:
                made[reason] += 1

    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(take_turns) for _ in range(_THREADS)]:
            done.result()
    return Attacked(made, time.monotonic() - begin)
