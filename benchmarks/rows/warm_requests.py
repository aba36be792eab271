"""Rows 1, 2 and 11: requests over connections that are open, through both hops."""

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.bulk import upload_small
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import OURS, PEER_NAME, Place, Stack, fresh, node_stack, our_stack


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


def variants(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a warm request as it is, without the code on top of TLS, and with less TLS."""
    bare = "without hooks"
    samples = scale.rounds.alternate(
        {
            name: partial(_measure_variant, place, scale, transport, hooks=name != bare)
            for name, transport in (
                ("mtls", "mtls"),
                (bare, "mtls"),
                ("tls", "tls"),
                ("plain", "plain"),
            )
        }
    )
    for other, bar in ((bare, 1.08), ("tls", None), ("plain", None)):
        yield compare(
            samples,
            "mtls",
            other,
            "cpu",
            row="11",
            title="warm GET",
            unit="CPU ms",
            bar=bar,
        )


def _side(place: Place, stack: Stack, mix: str, scale: Scale) -> Callable[[], Sample]:
    video_id = upload_small(place, stack)
    return partial(measure_requests, place, stack, Load(mix, scale.requests), video_id)


def _measure_variant(place: Place, scale: Scale, transport: str, *, hooks: bool) -> Sample:
    with fresh(place, OURS, transport=transport, hooks=hooks) as stack:
        video_id = upload_small(place, stack)
        measure_requests(place, stack, Load("get", scale.warm_up_requests), video_id)
        return measure_requests(place, stack, Load("get", scale.requests), video_id)
