"""Rows 1, 2, 11 and 12: requests over connections that are open, through both hops."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.bulk import upload_small
from benchmarks.requests import Load, measure_requests
from benchmarks.rounds import Measure, Sample, compare
from benchmarks.rows.scale import Scale
from benchmarks.stacks import FASTAPI, FLOOR, GO, NODE_PEER, OURS, Place, Stack, fresh, stack_of

_TWO_THIRDS: Final = round(2 / 3, 2)
# For each peer and mix: requests/s at least, p99 at most, CPU of a request at most.
_BARS: Final[Mapping[tuple[str, str], tuple[float | None, float | None, float | None]]] = {
    (NODE_PEER, "both"): (0.9, 1.0, None),
    **{(FASTAPI, mix): (1.5, None, _TWO_THIRDS) for mix in ("both", "get", "post")},
}
_FLOOR_BARS: Final[Mapping[str, float]] = {"get": 1.25, "post": 1.5}  # a form is parsed


def against_peers(place: Place, scale: Scale) -> Iterator[Measure]:
    """Requests/s, p99 and CPU against the peers and the floor, all with a store in memory."""
    with ExitStack() as running:
        stacks = [
            running.enter_context(stack_of(place, kind, store="memory"))
            for kind in (OURS, NODE_PEER, FASTAPI, GO, FLOOR)
        ]
        warm = scale.rounds.without_warm_up()  # by the first mix, which has both requests
        for mix, title, rounds in (
            ("both", "POST and GET in turn", scale.rounds),
            ("get", "GET alone", warm),
            ("post", "POST alone", warm),
        ):
            samples = rounds.alternate(
                {each.name: _side(place, each, mix, scale) for each in stacks}
            )
            for peer in (NODE_PEER, FASTAPI, GO):
                yield from _against(samples, peer, mix, title)
            if mix in _FLOOR_BARS:
                yield from _against_floor(samples, title, _FLOOR_BARS[mix])


def _against(
    samples: Mapping[str, list[Sample]], peer: str, mix: str, title: str
) -> Iterator[Measure]:
    rate_bar, p99_bar, cpu_bar = _BARS.get((peer, mix), (None, None, None))
    yield compare(
        samples,
        OURS,
        peer,
        "requests_per_second",
        row="1",
        title=f"warm requests, {title}",
        unit="requests/s",
        bar=rate_bar,
        more_is_better=True,
    )
    for row, figure, name, bar in (
        ("2", "p50", "p50 of a warm request", None),
        ("2", "p99", "p99 of a warm request", p99_bar),
        ("1", "cpu", "CPU of a warm request", cpu_bar),
        ("1", "gateway_cpu", "CPU of a warm request at the gateway", None),
        ("1", "queue_cpu", "CPU of a warm request at the queue", None),
    ):
        yield compare(
            samples, OURS, peer, figure, row=row, title=f"{name}, {title}", unit="ms", bar=bar
        )


def _against_floor(
    samples: Mapping[str, list[Sample]], title: str, bar: float
) -> Iterator[Measure]:
    for figure, name in (("gateway_cpu", "gateway"), ("queue_cpu", "queue")):
        yield compare(
            samples,
            OURS,
            FLOOR,
            figure,
            row="12",
            title=f"CPU of a warm request at the {name}, {title}",
            unit="ms",
            bar=bar,
        )


def variants(place: Place, scale: Scale) -> Iterator[Measure]:
    """CPU of a warm request as it is, without the code on top of TLS, and with less TLS."""
    bare = "without hooks"
    samples = scale.rounds.without_warm_up().alternate(
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
        if scale.warm_up_requests:
            measure_requests(place, stack, Load("get", scale.warm_up_requests), video_id)
        return measure_requests(place, stack, Load("get", scale.requests), video_id)
