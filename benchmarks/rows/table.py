"""All rows: what they measure, what they need, and the function that does it."""

from collections.abc import Callable, Iterator, Mapping
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
class Row:
    """A group of measures that come from one run. `needs` is what has to be installed."""

    what: str
    measure: Callable[[Place, Scale], Iterator[Measure]]
    needs: tuple[str, ...] = ()


ROWS: Final[Mapping[str, Row]] = {
    "1": Row(
        "warm requests (and 2: their p99), against Node", warm_requests.against_node, ("node",)
    ),
    "3": Row(
        "new connections at the gateway, against Node and nginx",
        new_connections.at_the_gateway,
        ("node", "nginx"),
    ),
    "4": Row("new connections at the queue, against Node", new_connections.at_the_queue, ("node",)),
    "5": Row("CPU of a large video: mutual TLS, TLS, plain", transfers.transports),
    "6": Row("MB/s of a large video, against Node", transfers.against_node, ("node",)),
    "7": Row("all certificates, against openssl", bootstrap.against_openssl, ("openssl",)),
    "8": Row("memory, against Node", memory.against_node, ("node",)),
    "9": Row("the store with many videos against few", store_size.against_small),
    "10": Row("start of the servers, against Node", start_up.against_node, ("node",)),
    "11": Row("what services/mtls adds to a request", warm_requests.hooks, ("node",)),
    "cost-request": Row(
        "warm requests: mutual TLS, TLS, plain", warm_requests.transports, ("node",)
    ),
    "cost-connection": Row("new connections: mutual TLS, TLS, plain", new_connections.transports),
}
