"""Rows 14 and 15: a request when many connections are open, and under a flood of new ones."""

import json
import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.bulk import upload_small
from benchmarks.connections import connector, get, receive, send
from benchmarks.needs import GO_FOLDER
from benchmarks.processes import on_core
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import NODE_PEER, OURS, Place, Stack, stack_of

_AT_A_TIME: Final = 16
IDLE: Final = "ours, nobody else"
HALF: Final = "ours, half of that"
SATURATED: Final = "ours, saturated"
NODE_SATURATED: Final = "Node, saturated"


def with_connections(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a request at each server, with many connections open against few.

    Requests go over all connections in turn, at most 16 under way. The handshakes are not counted.
    """
    few, *others = (_named(number) for number in scale.growth)
    with stack_of(place, OURS, store="memory") as stack:
        path = f"/videos/{upload_small(place, stack)}"
        samples = scale.rounds.alternate(
            {
                _named(number): partial(_requests, place, stack, path, number, scale.requests // 2)
                for number in scale.growth
            }
        )
    for other in others:
        for figure, where in (
            ("cpu", "both servers"),
            ("gateway_cpu", "the gateway"),
            ("queue_cpu", "the queue"),
        ):
            yield compare(
                samples,
                other,
                few,
                figure,
                row="14",
                title=f"CPU of a warm GET at {where}",
                unit="ms",
            )


def _named(connections: int) -> str:
    return f"{connections:,} connection{'s' if connections > 1 else ''}"


def _requests(place: Place, stack: Stack, path: str, number: int, requests: int) -> Sample:
    connect = connector(stack.gateway.address, place.client())
    with on_core(place.cores.client), ExitStack() as opened:
        connections = [opened.enter_context(connect()) for _ in range(number)]
        for each in connections:
            if get(each, path) != 200:
                raise RuntimeError(f"GET {path} was refused.")
        gateway, queue = stack.gateway.cpu_seconds(), stack.queue.cpu_seconds()
        burst, sent = min(number, _AT_A_TIME), 0
        while sent < requests:
            now = [connections[(sent + each) % number] for each in range(burst)]
            for each in now:
                send(each, path)
            for each in now:
                receive(each)
            sent += burst
        gateway = (stack.gateway.cpu_seconds() - gateway) * 1000 / sent
        queue = (stack.queue.cpu_seconds() - queue) * 1000 / sent
    return {"gateway_cpu": gateway, "queue_cpu": queue, "cpu": gateway + queue}


def with_handshakes(place: Place, scale: Scale) -> Iterator[Measure]:
    """New connections as fast as the gateway takes them, and what a valid client sees meanwhile."""
    with (
        stack_of(place, OURS, store="memory") as ours,
        stack_of(place, NODE_PEER) as node,
    ):
        most = _flooded(place, ours, scale, None)["handshakes"]
        samples = scale.rounds.alternate(
            {
                SATURATED: partial(_flooded, place, ours, scale, None),
                HALF: partial(_flooded, place, ours, scale, most / 2),
                IDLE: partial(_flooded, place, ours, scale, 0),
                NODE_SATURATED: partial(_flooded, place, node, scale, None),
            }
        )
    yield compare(
        samples,
        SATURATED,
        NODE_SATURATED,
        "handshakes",
        row="15",
        title="new connections at the gateway, as many as it takes",
        unit="per second",
        bar=1.0,
        more_is_better=True,
    )
    for what, name in (
        ("warm", "GET over an open connection"),
        ("new", "new connection and a GET"),
    ):
        for percentile in ("p50", "p99"):
            for one, other in (
                (HALF, IDLE),
                (SATURATED, IDLE),
                (SATURATED, NODE_SATURATED),
            ):
                yield compare(
                    samples,
                    one,
                    other,
                    f"{what}_{percentile}",
                    row="15",
                    title=f"{percentile} of a valid client: {name}",
                    unit="ms",
                )


def _flooded(place: Place, stack: Stack, scale: Scale, rate: float | None) -> Sample:
    """Measure under a flood: `rate` in connections/s, None for as many as it takes, 0 for none."""
    if rate == 0:
        return _as_a_valid_client(place, stack, scale.flood_seconds)
    command: list[str | Path] = [
        GO_FOLDER / "bin" / "flood",
        f"-address={stack.gateway.address}",
        f"-identity={place.certs / 'client' / 'viewer'}",
        f"-duration={scale.flood_seconds}s",
        f"-rate={rate or 0}",
    ]
    with on_core(place.cores.client):
        flood = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with flood:
        sample = _as_a_valid_client(place, stack, scale.flood_seconds)
        said = json.loads(flood.communicate()[0])
    if said["failed"]:
        raise RuntimeError(f"{stack.name} has refused {said['failed']} connections.")
    return {**sample, "handshakes": said["accepted"] / said["seconds"]}


def _as_a_valid_client(place: Place, stack: Stack, seconds: float) -> Sample:
    connect = connector(stack.gateway.address, place.client())
    times: dict[str, list[float]] = {"warm": [], "new": []}
    end = time.perf_counter() + seconds
    with on_core(place.cores.client), connect() as held:
        get(held, "/videos")
        while not times["new"] or time.perf_counter() < end:
            begin = time.perf_counter()
            get(held, "/videos")
            between = time.perf_counter()
            with connect() as fresh:
                get(fresh, "/videos")
            times["warm"].append((between - begin) * 1000)
            times["new"].append((time.perf_counter() - between) * 1000)
    return {
        f"{what}_p{share}": sorted(values)[math.ceil(len(values) * share / 100) - 1]
        for what, values in times.items()
        for share in (50, 99)
    }
