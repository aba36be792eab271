"""All rows: what they measure, what they need, and the function that does it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.rounds import Measure
from benchmarks.rows import (
    bootstrap,
    memory,
    new_connections,
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


GROUPS: Final = (
    Group(("1", "2"), "warm requests, against Node", warm_requests.against_node, ("node",)),
    Group(
        ("3", "4"),
        "new connections, against Node and nginx",
        new_connections.against_others,
        ("node", "nginx"),
    ),
    Group(("5",), "large videos and new connections: mutual TLS, TLS, plain", transfers.transports),
    Group(("6",), "large videos, against Node", transfers.against_node, ("node",)),
    Group(("7",), "all certificates, against openssl", bootstrap.against_openssl, ("openssl",)),
    Group(("8",), "memory, against Node", memory.against_node, ("node",)),
    Group(("9",), "the store with many videos, against few", store_size.against_small),
    Group(("10",), "start of the servers, against Node", start_up.against_node, ("node",)),
    Group(
        ("11",),
        "warm requests: mutual TLS, without our hooks, TLS, plain",
        warm_requests.variants,
        ("node",),
    ),
)
ROWS: Final = tuple(row for group in GROUPS for row in group.rows)
