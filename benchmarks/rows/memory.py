"""Row 8: the memory of servers that have nothing to do, and of a connection that stays open."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from benchmarks.bulk import upload_small
from benchmarks.connections import connector, held_open
from benchmarks.processes import on_core
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Rounds, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import FASTAPI, GO, NODE_PEER, OURS, Place, fresh

_ENOUGH_ROUNDS: Final = 3  # one is like the other, within a hundredth


def against_peers(place: Place, scale: Scale) -> Iterator[Measure]:
    """MB of both servers, and kB of an open connection at the gateway.

    Each round has servers of its own: memory that was once taken is rarely given back.
    """
    rounds = Rounds(min(scale.rounds.measured, _ENOUGH_ROUNDS), warm_ups=0)
    samples = rounds.alternate(
        {kind: partial(_measure, place, kind, scale) for kind in (OURS, NODE_PEER, FASTAPI, GO)}
    )
    for other, bar in ((NODE_PEER, 1.0), (FASTAPI, None), (GO, None)):
        for figure, title, unit in (
            ("started", "memory of both servers after their first request", "MB"),
            ("connection", "memory of an open connection at the gateway", "kB"),
            ("used", f"memory of both servers after {scale.requests} requests", "MB"),
        ):
            yield compare(samples, OURS, other, figure, row="8", title=title, unit=unit, bar=bar)


def _measure(place: Place, kind: str, scale: Scale) -> Sample:
    with fresh(place, kind) as stack, on_core(place.cores.client):
        connect = connector(stack.gateway.address, place.client())
        with held_open(connect, 1, "/videos"):  # so that all is loaded that a request needs
            started = stack.memory_bytes()
        before = stack.gateway.memory_bytes()
        with held_open(connect, scale.open_connections, "/videos"):
            grown = stack.gateway.memory_bytes() - before
        video_id = upload_small(place, stack)
        measure_requests(place, stack, Load("get", scale.requests), video_id)
        used = stack.memory_bytes()
    return {
        "started": started / 1e6,
        "connection": max(grown, 1) / 1e3 / scale.open_connections,
        "used": used / 1e6,
    }
