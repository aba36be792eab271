"""Rows 5 and 6: a large video, up and down, through both hops."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bulk import measure_upload_and_download
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.new_connections import https
from benchmarks.rows.scale import Scale
from benchmarks.stacks import FASTAPI, GO, NODE_PEER, OURS, Place, Stack, fresh


def transports(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a byte, and of a new connection, over mutual TLS, TLS and plain TCP."""
    samples = scale.rounds.without_warm_up().alternate(
        {
            transport: partial(_measure_transport, place, transport, scale)
            for transport in ("mtls", "tls", "plain")
        }
    )
    for title, unit, figure, bar, range_bar in (
        ("upload", "CPU ms/MB", "upload_cpu", 1.5, None),
        ("download", "CPU ms/MB", "download_cpu", 1.3, 0.3),
        ("new connection", "CPU ms", "cpu", None, None),
    ):
        for other in ("plain", "tls"):
            yield compare(
                samples,
                "mtls",
                other,
                figure,
                row="5",
                title=title,
                unit=unit,
                bar=bar if other == "plain" else None,
                range_bar=range_bar if other == "plain" else None,
            )


def against_peers(place: Place, scale: Scale) -> Iterator[Measure]:
    """MB/s against the peers, all with a store in memory.

    Each round has servers of its own: what is uploaded stays in their memory, and would add up.
    """
    samples = scale.rounds.without_warm_up().alternate(
        {kind: partial(_measure, place, kind, scale) for kind in (OURS, NODE_PEER, FASTAPI, GO)}
    )
    for other, bar in ((NODE_PEER, 1.0), (FASTAPI, None), (GO, None)):
        for way in ("upload", "download"):
            yield compare(
                samples,
                OURS,
                other,
                f"{way}_rate",
                row="6",
                title=way,
                unit="MB/s",
                bar=bar,
                more_is_better=True,
            )
            yield compare(
                samples,
                OURS,
                other,
                f"{way}_cpu",
                row="6",
                title=f"CPU of {way}",
                unit="CPU ms/MB",
                bar=bar,
            )


def _measure_transport(place: Place, transport: str, scale: Scale) -> Sample:
    with fresh(place, OURS, transport=transport) as stack:
        connections = https(place, stack.gateway, scale, scheme=stack.scheme)()
        return {**connections, **_transfer(place, stack, scale)}


def _measure(place: Place, kind: str, scale: Scale) -> Sample:
    with fresh(place, kind, store="memory") as stack:
        return _transfer(place, stack, scale)


def _transfer(place: Place, stack: Stack, scale: Scale) -> Sample:
    measure_upload_and_download(place, stack, scale.warm_up_bytes)
    return measure_upload_and_download(place, stack, scale.bulk_bytes)
