"""Rows 1, 2 and 11: requests over connections that are open, through both hops."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks.bulk import upload_small
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import OURS, PEER_NAME, Place, Stack, node_stack, our_stack


def against_node(place: Place, scale: Scale) -> Iterator[Measure]:
    """Requests/s and p99 against the peer, both with a store in memory."""
    with our_stack(place, OURS, store="memory") as ours, node_stack(place, PEER_NAME) as theirs:
        for mix, title in (
            ("both", "POST and GET in turn"),
            ("get", "GET alone"),
            ("post", "POST alone"),
        ):
            samples = scale.rounds.alternate(
                {each.name: _side(place, each, mix, scale) for each in (ours, theirs)}
            )
            judged = mix == "both"
            yield compare(
                samples,
                OURS,
                PEER_NAME,
                "requests_per_second",
                row="1",
                title=f"warm requests, {title}",
                unit="requests/s",
                bar=1.15 if judged else None,
                more_is_better=True,
            )
            yield compare(
                samples,
                OURS,
                PEER_NAME,
                "p99",
                row="2",
                title=f"p99 of a warm request, {title}",
                unit="ms",
                bar=0.4 if judged else None,
            )
            for part, name in (("gateway_cpu", "gateway"), ("queue_cpu", "queue")):
                yield compare(
                    samples,
                    OURS,
                    PEER_NAME,
                    part,
                    row="1",
                    title=f"CPU of a warm request at the {name}, {title}",
                    unit="ms",
                )


def hooks(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a warm request with the code of services/mtls on top of TLS, and without."""
    without = "without hooks"
    with (
        our_stack(place, OURS) as ours,
        our_stack(place, without, hooks=False) as bare,
    ):
        samples = scale.rounds.alternate(
            {each.name: _side(place, each, "get", scale) for each in (ours, bare)}
        )
    yield compare(
        samples,
        OURS,
        without,
        "cpu",
        row="11",
        title="what services/mtls adds to a warm GET",
        unit="CPU ms",
        bar=1.08,
    )


def transports(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a warm request over mutual TLS, TLS and plain TCP: for the plot."""
    with ExitStack() as running:
        stacks = [
            running.enter_context(our_stack(place, name, transport=name))
            for name in ("mtls", "tls", "plain")
        ]
        samples = scale.rounds.alternate(
            {each.name: _side(place, each, "get", scale) for each in stacks}
        )
    for other in ("tls", "plain"):
        yield compare(
            samples,
            "mtls",
            other,
            "cpu",
            row="cost",
            title="warm GET",
            unit="CPU ms",
        )


def _side(place: Place, stack: Stack, mix: str, scale: Scale) -> Callable[[], Sample]:
    video_id = upload_small(place, stack)
    return partial(measure_requests, place, stack, Load(mix, scale.requests), video_id)
