"""Row 10: from the start of both processes to the first answer over mutual TLS."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.connections import connector
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import FASTAPI, GO, NODE_PEER, OURS, Place, fresh
from benchmarks.waiting import until


def against_peers(place: Place, scale: Scale) -> Iterator[Measure]:
    """Milliseconds, and what they cost in CPU; the gateway is started when the queue listens."""
    samples = scale.rounds.alternate(
        {kind: partial(_measure, place, kind) for kind in (OURS, NODE_PEER, FASTAPI, GO)}
    )
    for other, bar in ((NODE_PEER, 1.1), (FASTAPI, None), (GO, None)):
        yield compare(
            samples,
            OURS,
            other,
            "wall",
            row="10",
            title="start of both servers to the first answer",
            unit="ms",
            bar=bar,
        )
        yield compare(
            samples,
            OURS,
            other,
            "cpu",
            row="10",
            title="CPU of both servers up to the first answer",
            unit="CPU ms",
        )


def _measure(place: Place, kind: str) -> Sample:
    place = replace(place, kept=None)  # it is about the start
    begin = time.perf_counter()
    with fresh(place, kind) as stack:
        until(stack.gateway, connector(stack.gateway.address, place.client()), "/videos")
        seconds, cpu = time.perf_counter() - begin, stack.cpu_seconds()
    return {"wall": seconds * 1000, "cpu": cpu * 1000}
