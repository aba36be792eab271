"""All rows: what they measure, what they need, and the function that does it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.rounds import Measure
from benchmarks.rows import (
    bootstrap,
    growth,
    memory,
    new_connections,
    scale_out,
    sidecars,
    start_up,
    store_size,
    transfers,
    warm_requests,
)
from benchmarks.rows.scale import Scale
from benchmarks.stacks import Place


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that come from one run. `needs` is what has to be installed."""

    rows: tuple[str, ...]
    what: str
    measure: Callable[[Place, Scale], Iterator[Measure]]
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its rows, as one word."""
        return "+".join(self.rows)


_PEERS: Final = ("node", "venv", "go")
GROUPS: Final = (
    Group(
        ("1", "2", "12"),
        "warm requests, against Node, FastAPI, Go and the libraries' floor",
        warm_requests.against_peers,
        _PEERS,
    ),
    Group(
        ("3", "4"),
        "new connections, against Node, FastAPI, Go and nginx",
        new_connections.against_others,
        (*_PEERS, "nginx"),
    ),
    Group(("5",), "large videos and new connections: mutual TLS, TLS, plain", transfers.transports),
    Group(("6",), "large videos, against Node, FastAPI and Go", transfers.against_peers, _PEERS),
    Group(("7",), "all certificates, against openssl", bootstrap.against_openssl, ("openssl",)),
    Group(("8",), "memory, against Node, FastAPI and Go", memory.against_peers, _PEERS),
    Group(("9",), "the store with many videos, against few", store_size.against_small),
    Group(
        ("10",),
        "start of the servers, against Node, FastAPI and Go",
        start_up.against_peers,
        _PEERS,
    ),
    Group(
        ("11",),
        "warm requests: mutual TLS, without our hooks, TLS, plain",
        warm_requests.variants,
        ("node",),
    ),
    Group(
        ("13",),
        "mutual TLS in the application, against proxies beside plain services",
        sidecars.against_sidecars,
        ("node", "venv", "nginx-stream", "haproxy", "stunnel"),
    ),
    Group(("14",), "a request with many connections open", growth.with_connections),
    Group(
        ("15",),
        "as many new connections as the gateway takes, and a valid client meanwhile",
        growth.with_handshakes,
        ("node", "go"),
    ),
)
# Only when asked: they take more than a minute, for a question that few have.
OPTIONAL: Final = (
    Group(
        ("16",),
        "PostgreSQL and an object store, against SQLite and a folder",
        scale_out.against_default,
        ("node", "postgresql", "seaweedfs"),
    ),
)
ROWS: Final = tuple(row for group in GROUPS for row in group.rows)
