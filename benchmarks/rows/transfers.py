"""Rows 5 and 6: a large video, up and down, through both hops."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks.bulk import measure_upload_and_download
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.new_connections import https
from benchmarks.rows.scale import Scale
from benchmarks.stacks import OURS, PEER_NAME, Place, fresh, our_stack


def transports(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a byte, and of a new connection, over mutual TLS, TLS and plain TCP."""
    with ExitStack() as running:
        stacks = [
            running.enter_context(our_stack(place, name, transport=name))
            for name in ("mtls", "tls", "plain")
        ]
        transfers = scale.rounds.alternate(
            {
                each.name: partial(measure_upload_and_download, place, each, scale.bulk_bytes)
                for each in stacks
            }
        )
        connections = scale.rounds.alternate(
            {each.name: https(place, each.gateway, scale, scheme=each.scheme) for each in stacks}
        )
    for title, unit, samples, figure, bar in (
        ("upload", "CPU ms/MB", transfers, "upload_cpu", 1.5),
        ("download", "CPU ms/MB", transfers, "download_cpu", 1.5),
        ("new connection", "CPU ms", connections, "cpu", None),
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
            )


def against_node(place: Place, scale: Scale) -> Iterator[Measure]:
    """MB/s against the peer, both with a store in memory.

    Each round has servers of its own: what is uploaded stays in their memory, and would add up.
    """
    samples = scale.rounds.alternate(
        {kind: partial(_measure, place, kind, scale) for kind in (OURS, PEER_NAME)}
    )
    for way in ("upload", "download"):
        yield compare(
            samples,
            OURS,
            PEER_NAME,
            f"{way}_rate",
            row="6",
            title=way,
            unit="MB/s",
            bar=1.0,
            more_is_better=True,
        )
        yield compare(
            samples,
            OURS,
            PEER_NAME,
            f"{way}_cpu",
            row="6",
            title=f"CPU of {way}",
            unit="CPU ms/MB",
        )


def _measure(place: Place, kind: str, scale: Scale) -> Sample:
    with fresh(place, kind, store="memory") as stack:
        measure_upload_and_download(place, stack, scale.warm_up_bytes)
        return measure_upload_and_download(place, stack, scale.bulk_bytes)
