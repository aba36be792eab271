"""Row 10: from the start of both processes to the first answer over mutual TLS."""

import time
from collections.abc import Iterator
from functools import partial

from benchmarks.connections import connector
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import OURS, PEER_NAME, Place, fresh
from benchmarks.waiting import until


def against_node(place: Place, scale: Scale) -> Iterator[Measure]:
    """Milliseconds, and what they cost in CPU; the gateway is started when the queue listens."""
    samples = scale.rounds.alternate(
        {kind: partial(_measure, place, kind) for kind in (OURS, PEER_NAME)}
    )
    for figure, title, unit, bar in (
        ("wall", "start of both servers to the first answer", "ms", 1.0),
        ("cpu", "CPU of both servers up to the first answer", "CPU ms", None),
    ):
        yield compare(samples, OURS, PEER_NAME, figure, row="10", title=title, unit=unit, bar=bar)


def _measure(place: Place, kind: str) -> Sample:
    begin = time.perf_counter()
    with fresh(place, kind) as stack:
        until(stack.gateway, connector(stack.gateway.address, place.client()), "/videos")
        seconds, cpu = time.perf_counter() - begin, stack.cpu_seconds()
    return {"wall": seconds * 1000, "cpu": cpu * 1000}
