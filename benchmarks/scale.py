"""How far the system scales, on paper: docs/scale.md, made of what was measured.

    python -m benchmarks.scale [--check | --measure]

`Costs` is what was measured, `Use` what is assumed, `Load` what follows from both. `simulated` and
`renewals_simulated` play the same with single events, and so check the arithmetic.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import ceil
from pathlib import Path
from string import Template
from typing import Any, Final, Self

from benchmarks.page import RESULTS
from benchmarks.scale_costs import COSTS, write_costs
from benchmarks.table import short
from local_stack import ROOT

PAGE: Final = ROOT / "docs" / "scale.md"
LOADS: Final = (10, 1_000, 100_000)  # uploads a day
_WORDS: Final = ROOT / "benchmarks" / "scale.md"
_DAY: Final = 86_400
_GIB_IN_MEGABYTES: Final = 1024**3 / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How people use it: assumed, not measured. Change it, and run the script again."""

    video_seconds: float = 240
    source_megabytes_per_second: float = 1.0  # 8 Mbit/s, as a phone records 1080p
    renditions_megabytes_per_second: float = 1.0  # of all three together
    watched_megabytes_per_second: float = 0.35  # 720p
    views: int = 20  # of each video, each on a connection of its own
    line_megabytes_per_second: float = 2.5  # of a viewer: 20 Mbit/s
    peak: float = 4.0  # the busy hours against the mean of the day; there are four
    kept_days: int = 30


# What one of each has by default, and how much of that is planned with.
TRANSCODER_CORES: Final = 2.0  # TRANSCODER_THREADS
PROCESS_CORES: Final = 1.0  # Python code runs on one core at a time
MAX_DOWNLOADS: Final = 64  # GATEWAY_MAX_DOWNLOADS
QUOTA_MEGABYTES: Final = 50 * _GIB_IN_MEGABYTES  # VIDEO_QUEUE_QUOTA_BYTES
LINK_MEGABYTES_PER_SECOND: Final = 125.0  # of a machine with 1 Gbit/s
PLANNED: Final = 0.6  # of a process at the peak: above, waiting grows faster than the load
PLANNED_WORKERS: Final = 0.7  # of the day: what waits for a worker is a queue, made to wait

WORKLOADS: Final = 100_000
LIFE_HOURS, RENEWED_AFTER_HOURS = 24, 16  # certificates.yaml: renewBefore 8h
MAX_CONNECTION_AGE_SECONDS: Final = 3600
START_MINUTES: Final = 10  # in which all of them are started, after an outage of the whole cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU milliseconds of one of each, as measured; calls of a worker as counted."""

    handshake: float
    post_gateway: float
    post_queue: float
    get_gateway: float
    get_queue: float
    upload_megabyte: float  # gateway and queue together
    download_megabyte: float
    upload_share: float  # of the gateway in it
    download_share: float
    write: float  # one transaction of the queue
    transcode: float  # CPU seconds of a second of video
    heartbeats_per_second: float  # of a worker at work
    other_writes: int  # of one video: upload, claim, publications, completion
    leaf: float
    load_identity: float
    probe: float

    @classmethod
    def read(cls, results: Mapping[str, Any], own: Mapping[str, Any]) -> Self:
        """Take the medians out of benchmarks/results.json, and the rest out of scale.json."""

        def ours(row: str, title: str) -> float:
            found = (m for m in results["measures"] if (m["row"], m["title"]) == (row, title))
            return float(next(found)["ours"]["median"])

        video = own["transcoding"]["1080p"]
        return cls(
            handshake=ours("3", "new connection at the gateway"),
            post_gateway=ours("1", "CPU of a warm request at the gateway, POST alone"),
            post_queue=ours("1", "CPU of a warm request at the queue, POST alone"),
            get_gateway=ours("1", "CPU of a warm request at the gateway, GET alone"),
            get_queue=ours("1", "CPU of a warm request at the queue, GET alone"),
            upload_megabyte=ours("5", "upload"),
            download_megabyte=ours("5", "download"),
            upload_share=own["share_of_gateway"]["upload"],
            download_share=own["share_of_gateway"]["download"],
            write=ours("9", "status update"),
            transcode=video["cpu_seconds_per_second"],
            heartbeats_per_second=video["heartbeats_per_second"],
            other_writes=sum(video["writes"].values()),
            leaf=own["leaf_cpu_ms"],
            load_identity=own["load_identity_cpu_ms"],
            probe=own["probe_cpu_ms"],
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What so many uploads a day need."""

    uploads: float
    costs: Costs
    use: Use

    @property
    def per_second(self) -> float:
        """Uploads a second, on average."""
        return self.uploads / _DAY

    @property
    def conversion_seconds(self) -> float:
        """How long a worker has a video."""
        return self.use.video_seconds * self.costs.transcode / TRANSCODER_CORES

    @property
    def busy_workers(self) -> float:
        """Workers at work, on average (Little's law)."""
        return self.per_second * self.conversion_seconds

    @property
    def workers(self) -> int:
        """Workers that are needed."""
        return ceil(self.busy_workers / PLANNED_WORKERS)

    @property
    def gateway_cores(self) -> float:
        """Cores that the gateways use at the peak."""
        costs, use = self.costs, self.use
        upload = costs.handshake + costs.post_gateway
        upload += self._source * costs.upload_megabyte * costs.upload_share
        view = costs.handshake + costs.get_gateway
        view += self._watched * costs.download_megabyte * costs.download_share
        return self._cores(upload + use.views * view)

    @property
    def queue_cores(self) -> float:
        """Cores that the queues use at the peak, their database apart from them or not."""
        costs, use = self.costs, self.use
        up = costs.upload_megabyte * (1 - costs.upload_share)
        down = costs.download_megabyte * (1 - costs.download_share)
        made = use.video_seconds * use.renditions_megabytes_per_second
        people = costs.post_queue + self._source * up
        people += use.views * (costs.get_queue + self._watched * down)
        worker = self._source * down + made * up
        return self._cores(people + worker + self.writes_of_a_video * costs.write)

    @property
    def writes_of_a_video(self) -> float:
        """Transactions that write, from the upload to the last rendition."""
        return self.costs.other_writes + self.heartbeats_of_a_video

    @property
    def heartbeats_of_a_video(self) -> float:
        """Those of them with which its worker keeps its lease and tells its progress."""
        return self.costs.heartbeats_per_second * self.conversion_seconds

    @property
    def writes_per_second(self) -> float:
        """Transactions that write, a second: at the most, for every worker is at work."""
        heartbeats = self.workers * self.costs.heartbeats_per_second
        return self._peak * self.costs.other_writes + heartbeats

    @property
    def downloads_at_once(self) -> float:
        """Viewers that are being sent something, at the peak."""
        return self._peak * self.use.views * self._watched / self.use.line_megabytes_per_second

    @property
    def link_megabytes_per_second(self) -> float:
        """What leaves the gateways at the peak."""
        return self._peak * self.use.views * self._watched

    @property
    def stored_megabytes_a_day(self) -> float:
        """How much the store grows."""
        made = self.use.renditions_megabytes_per_second + self.use.source_megabytes_per_second
        return self.uploads * self.use.video_seconds * made

    @property
    def _peak(self) -> float:
        return self.per_second * self.use.peak

    @property
    def _source(self) -> float:
        return self.use.video_seconds * self.use.source_megabytes_per_second

    @property
    def _watched(self) -> float:
        return self.use.video_seconds * self.use.watched_megabytes_per_second

    def _cores(self, milliseconds: float) -> float:
        return milliseconds / 1000 * self._peak


@dataclass(frozen=True, slots=True)
class Bound:
    """How many uploads a day one of something bears."""

    what: str
    uploads: float
    why: str


def bounds(costs: Costs, use: Use) -> Sequence[Bound]:
    """Return the limits of one of each, the lowest first. All grow in proportion to the uploads."""
    one = Load(1, costs, use)
    found = (
        Bound(
            "disk",
            QUOTA_MEGABYTES / use.kept_days / one.stored_megabytes_a_day,
            f"50 GiB by default, and videos are kept for {use.kept_days} days",
        ),
        Bound(
            "transcoder",
            PLANNED_WORKERS / one.busy_workers,
            f"{short(one.conversion_seconds)} s of two cores for each video",
        ),
        Bound(
            "downloads of one gateway",
            MAX_DOWNLOADS / one.downloads_at_once,
            f"{MAX_DOWNLOADS} at once by default",
        ),
        Bound("gateway", PLANNED * PROCESS_CORES / one.gateway_cores, "one process uses one core"),
        Bound("queue", PLANNED * PROCESS_CORES / one.queue_cores, "one process uses one core"),
        Bound(
            "network of one machine",
            PLANNED * LINK_MEGABYTES_PER_SECOND / one.link_megabytes_per_second,
            "1 Gbit/s, for what is watched",
        ),
    )
    return sorted(found, key=lambda bound: bound.uploads)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of playing some days with single videos."""

    busy_workers: float
    heartbeats_per_second: float
    wait_seconds: float  # that nineteen of twenty videos do not exceed


def simulated(load: Load, workers: int, *, days: int = 5, seed: int = 1) -> Simulated:
    """Play the queue of `workers`: videos come at random, in busy hours more, and differ in length.

    Lengths are exponential: many are short, few are long. A video is taken by the first worker
    that is free.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    free = [0.0] * workers
    heapify(free)
    busy, waits = 0.0, []
    for begin in _arrivals(load, days, chance):
        lasts = chance.expovariate(1 / load.conversion_seconds)
        start = max(begin, free[0])
        heapreplace(free, start + lasts)
        busy += lasts
        waits.append(start - begin)
    seconds = days * _DAY
    beats = busy * load.costs.heartbeats_per_second / seconds
    return Simulated(busy / seconds, beats, sorted(waits)[int(len(waits) * 0.95)] if waits else 0)


def _arrivals(load: Load, days: int, chance: random.Random) -> Iterator[float]:
    """Yield when videos come: four hours of each day have `peak` times the mean of the day."""
    quiet = (24 - 4 * load.use.peak) / 20
    most = load.per_second * load.use.peak
    now = 0.0
    while (now := now + chance.expovariate(most)) < days * _DAY:
        is_busy = now % _DAY < 4 * 3600
        if is_busy or chance.random() < quiet / load.use.peak:
            yield now


def renewals_simulated(
    workloads: int, *, spread: float, days: int = 8, seed: int = 1
) -> tuple[float, int]:
    """Play renewals after a common start; return a second: the mean, and the most on the last day.

    Each renewal comes after the same time, give or take `spread` of it.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    period, end = RENEWED_AFTER_HOURS * 3600, days * _DAY
    seconds: Counter[int] = Counter()
    for _ in range(workloads):
        now = chance.random() * START_MINUTES * 60
        while (now := now + period * (1 + spread * (2 * chance.random() - 1))) < end:
            seconds[int(now)] += 1
    last_day = max(count for second, count in seconds.items() if second >= end - _DAY)
    return sum(seconds.values()) / (end - period), last_day


def page(results: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return docs/scale.md."""
    costs, use = Costs.read(results, own), Use()
    loads = [Load(uploads, costs, use) for uploads in LOADS]
    first = bounds(costs, use)
    spreads = {spread: renewals_simulated(WORKLOADS, spread=spread) for spread in (0.0, 0.05)}
    rate = WORKLOADS / (RENEWED_AFTER_HOURS * 3600)
    largest = loads[-1]
    return Template(_WORDS.read_text("utf-8")).substitute(
        costs="\n".join(_cost_rows(costs, own)),
        use="\n".join(_use_rows(use)),
        bounds="\n".join(f"| {b.what} | **{_count(b.uploads)}** | {b.why} |" for b in first),
        heads=" | ".join(f"{uploads:,}" for uploads in LOADS),
        loads="\n".join(_load_rows(loads)),
        simulation="\n".join(_simulation_rows(loads)),
        first=first[0].what,
        second=first[1].what,
        full_in=_count(QUOTA_MEGABYTES / loads[0].stored_megabytes_a_day),
        writes_of_a_video=_count(largest.writes_of_a_video),
        heartbeats_share=f"{largest.heartbeats_of_a_video / largest.writes_of_a_video:.0%}",
        largest_writes=_count(largest.writes_per_second),
        largest_workers=_count(largest.workers),
        slower_writes=_count(
            largest.writes_per_second - largest.workers * costs.heartbeats_per_second * 0.9,
        ),
        transcode=short(costs.transcode),
        share=f"{_transcoding_share(largest):.0%}",
        workloads=f"{WORKLOADS:,}",
        rate=short(rate),
        leaf=short(costs.leaf),
        leaf_cores=_count(rate * costs.leaf / 1000),
        all_leaves=short(WORKLOADS * costs.leaf / 1000),
        load_identity=short(costs.load_identity),
        start_minutes=START_MINUTES,
        wave=f"{spreads[0.0][1]:,}",
        calm=f"{spreads[0.05][1]:,}",
        simulated_rate=short(spreads[0.0][0]),
        handshakes=short(WORKLOADS / MAX_CONNECTION_AGE_SECONDS),
        handshake_cores=_count(WORKLOADS / MAX_CONNECTION_AGE_SECONDS * costs.handshake / 1000),
        probe=short(costs.probe),
        probe_share=f"{costs.probe / 1000 * (1 / 10 + 1 / 30):.1%}",
        measured=own["measured"],
        processor=own["processor"],
    )


def _transcoding_share(load: Load) -> float:
    mean = load.use.peak
    others = (load.gateway_cores + load.queue_cores) / mean
    work = load.busy_workers * TRANSCODER_CORES
    return work / (work + others)


def _cost_rows(costs: Costs, own: Mapping[str, Any]) -> Iterator[str]:
    bench, here = "[performance](performance.md)", "`scripts/scale --measure`"
    small = own["transcoding"]["720p"]["cpu_seconds_per_second"]
    calls = own["transcoding"]["1080p"]["writes"].items()
    writes = ", ".join(f"{number} {call}" for call, number in calls)
    for what, cost, source in (
        ("a new connection at the gateway", f"{short(costs.handshake)} ms", bench),
        (
            "POST, without its bytes: gateway, queue",
            f"{short(costs.post_gateway)} ms, {short(costs.post_queue)} ms",
            bench,
        ),
        (
            "GET: gateway, queue",
            f"{short(costs.get_gateway)} ms, {short(costs.get_queue)} ms",
            bench,
        ),
        ("a megabyte up, both together", f"{short(costs.upload_megabyte)} ms", bench),
        ("a megabyte down, both together", f"{short(costs.download_megabyte)} ms", bench),
        (
            "of these at the gateway: up, down",
            f"{costs.upload_share:.0%}, {costs.download_share:.0%}",
            here,
        ),
        ("a transaction that writes (SQLite, in the queue)", f"{short(costs.write)} ms", bench),
        ("a second of 1080p, into three renditions", f"{short(costs.transcode)} s", here),
        ("a second of 720p, into two renditions", f"{short(small)} s", here),
        (
            "writes of a worker at work, a second",
            f"{short(costs.heartbeats_per_second)} (heartbeats)",
            here,
        ),
        (
            "other writes for a video",
            f"{costs.other_writes} ({writes})",
            here,
        ),
        ("a key and a leaf, at the issuer", f"{short(costs.leaf)} ms", here),
        ("new files, read and checked by a service", f"{short(costs.load_identity)} ms", here),
        ("a health check, a process of its own", f"{short(costs.probe)} ms", here),
    ):
        yield f"| {what} | {cost} | {source} |"


def _use_rows(use: Use) -> Iterator[str]:
    yield f"| a video lasts | {use.video_seconds:g} s, in 1080p |"
    yield (
        f"| its source, and all its renditions together | {use.source_megabytes_per_second:g} and "
        f"{use.renditions_megabytes_per_second:g} MB for each second |"
    )
    watched = f"{use.watched_megabytes_per_second:g} MB for each second"
    yield f"| it is watched | {use.views} times, in 720p: {watched}, each on a new connection |"
    yield f"| a viewer's line | {use.line_megabytes_per_second:g} MB/s |"
    yield f"| the four busy hours of a day | {use.peak:g} times its mean |"
    yield f"| videos are kept | {use.kept_days} days |"


def _load_rows(loads: Sequence[Load]) -> Iterator[str]:
    rows: Sequence[tuple[str, Sequence[str]]] = (
        ("uploads a second, mean", [_count(each.per_second) for each in loads]),
        ("workers busy, mean", [_count(each.busy_workers) for each in loads]),
        ("**transcoders** of two cores", [_count(each.workers) for each in loads]),
        ("cores of gateways, at the peak", [_count(each.gateway_cores) for each in loads]),
        ("downloads at once, at the peak", [_count(each.downloads_at_once) for each in loads]),
        ("**gateways**", [_count(_gateways(each)) for each in loads]),
        ("cores of queues, at the peak", [_count(each.queue_cores) for each in loads]),
        ("**queues**", [_count(ceil(each.queue_cores / PLANNED)) for each in loads]),
        ("transactions that write, a second", [_count(each.writes_per_second) for each in loads]),
        (
            "watched, MB/s at the peak",
            [_count(each.link_megabytes_per_second) for each in loads],
        ),
        ("store, GB a day", [_count(each.stored_megabytes_a_day / 1000) for each in loads]),
        (
            "store, TB in all",
            [_count(each.stored_megabytes_a_day * each.use.kept_days / 1e6) for each in loads],
        ),
    )
    for what, cells in rows:
        yield f"| {what} | {' | '.join(cells)} |"


def _gateways(load: Load) -> int:
    return max(ceil(load.gateway_cores / PLANNED), ceil(load.downloads_at_once / MAX_DOWNLOADS))


def _simulation_rows(loads: Sequence[Load]) -> Iterator[str]:
    for load in loads:
        days = 200 if load.uploads < 100 else 5 if load.uploads < 10_000 else 1
        seen = simulated(load, load.workers, days=days)
        yield (
            f"| {load.uploads:,} | {load.workers:,} | {_count(load.busy_workers)} | "
            f"{_count(seen.busy_workers)} | "
            f"{_count(load.busy_workers * load.costs.heartbeats_per_second)} | "
            f"{_count(seen.heartbeats_per_second)} | {_duration(seen.wait_seconds)} |"
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _count(number: float) -> str:
    """Return a number with three digits that count, or in thousands; a whole one stays whole."""
    if number >= 10 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.2f}" if number >= 1 else f"{number:.2g}"


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/scale", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure scale.json first")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    if options.measure:
        write_costs()
    made = page(_read(RESULTS), _read(COSTS))
    if options.check:
        print(made)
        return 0 if PAGE.read_text("utf-8") == made else 1
    PAGE.write_text(made, "utf-8")
    return 0


def _read(path: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main())
