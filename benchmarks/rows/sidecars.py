"""Row 13: mutual TLS in the application, or in proxies beside plain services."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Final

from benchmarks.bulk import measure_upload_and_download, upload_small
from benchmarks.connections import connector, get, held_open, send
from benchmarks.processes import on_core
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.new_connections import https
from benchmarks.rows.scale import Scale
from benchmarks.sidecars import SIDECARS, sidecar_stack
from benchmarks.stacks import OURS, Place, Stack, fresh

PLAIN: Final = "plain services"
# The others let everybody in who has a certificate of our CA.
DECIDES_BY_NAME: Final = frozenset({OURS, "Envoy with policy"})
# What of the pairs in the application's favour is a goal: CPU of a request, and memory.
_REQUEST_BAR: Final = 0.6
_MEMORY_BAR: Final = 1.0
_SECONDS: Final = 30


def against_sidecars(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU, memory and times of ours, against each pair; all with a store in memory.

    What is counted is all processes that the hops need: services and proxies. The plain services
    alone are what is left when nobody does any TLS.
    """
    samples = scale.rounds.without_warm_up().alternate(
        {kind: partial(_measure, place, kind, scale) for kind in (OURS, PLAIN, *SIDECARS)}
    )
    for figure, title, unit, bar in (
        ("request", "CPU of a warm GET, both hops", "ms", _REQUEST_BAR),
        ("p50", "p50 of a warm GET", "ms", None),
        ("p99", "p99 of a warm GET", "ms", None),
        ("cpu", "new connection at the gateway", "CPU ms", None),
        ("upload_cpu", "upload", "CPU ms/MB", None),
        ("download_cpu", "download", "CPU ms/MB", None),
        ("idle", "memory of all after the first request", "MB", _MEMORY_BAR),
        ("connection", "memory of an open connection", "kB", None),
    ):
        for kind in (*SIDECARS, PLAIN):
            yield compare(
                samples,
                OURS,
                kind,
                figure,
                row="13",
                title=title,
                unit=unit,
                bar=None if kind == PLAIN else bar,
            )


def _running(place: Place, kind: str) -> AbstractContextManager[Stack]:
    if kind in SIDECARS:
        return sidecar_stack(place, kind)
    return fresh(place, OURS, transport="plain" if kind == PLAIN else "mtls", store="memory")


def _check_who_is_let_in(place: Place, stack: Stack) -> None:
    """Raise `RuntimeError` unless the stack admits whom the page says: the figures belong to it.

    `probe` has a genuine certificate, and may call no route for videos.
    """
    if stack.scheme == "http":
        return
    host, _, port = stack.gateway.address.rpartition(":")
    with (
        suppress(ConnectionError),  # a reset is a refusal
        socket.create_connection((host, int(port)), _SECONDS) as plaintext,
    ):
        send(plaintext, "/videos")
        if b" 200 " in plaintext.recv(100):
            raise RuntimeError(f"{stack.name} serves without TLS.")
    expected = 403 if stack.name in DECIDES_BY_NAME else 200
    with connector(stack.gateway.address, place.client("probe"))() as connection:
        if (status := get(connection, "/videos")) != expected:
            raise RuntimeError(f"{stack.name} has answered the probe with {status}.")


def _measure(place: Place, kind: str, scale: Scale) -> Sample:
    with _running(place, kind) as stack:
        identity = place.client() if stack.scheme == "https" else None
        connect = connector(stack.gateway.address, identity)
        with on_core(place.cores.client):
            with held_open(connect, 1, "/videos"):
                idle = stack.memory_bytes()
            before = stack.gateway.memory_bytes()
            with held_open(connect, scale.open_connections // 2, "/videos"):
                grown = stack.gateway.memory_bytes() - before
        _check_who_is_let_in(place, stack)
        connection = https(place, stack.gateway, scale, scheme=stack.scheme)()
        video_id = upload_small(place, stack)
        if scale.warm_up_requests:
            measure_requests(place, stack, Load("get", scale.warm_up_requests), video_id)
        requests = measure_requests(place, stack, Load("get", scale.sidecar_requests), video_id)
        measure_upload_and_download(place, stack, scale.warm_up_bytes)
        transfers = measure_upload_and_download(place, stack, scale.sidecar_bytes)
    return {
        **connection,
        **transfers,
        "request": requests["cpu"],
        "p50": requests["p50"],
        "p99": requests["p99"],
        "idle": idle / 1e6,
        "connection": max(grown, 1) / 1e3 / (scale.open_connections // 2),
    }
