"""The two questions of the page, answered by the results: sidecar or not, and us or the library."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.plots import DARK, GREY, LIGHT, Group, bar_chart
from benchmarks.rows.sidecars import PLAIN
from benchmarks.sides import Measures, bar_of, sides_of
from benchmarks.stacks import FLOOR, OURS
from benchmarks.table import short

NOT_MEASURED: Final = "*(Left out of this run.)*"

_REQUEST: Final = "CPU of a warm GET, both hops"
_MEMORY: Final = "memory of all after the first request"
_COLUMNS: Final[Mapping[str, str]] = {
    _REQUEST: "CPU of a warm GET, ms",
    "p50 of a warm GET": "p50, ms",
    "p99 of a warm GET": "p99, ms",
    "new connection at the gateway": "CPU of a new connection, ms",
    "upload": "CPU of an upload, ms/MB",
    "download": "CPU of a download, ms/MB",
    _MEMORY: "memory, MB",
    "memory of an open connection": "memory of a connection, kB",
}
_PLOTTED: Final[Mapping[str, tuple[str, str]]] = {
    _REQUEST: ("CPU of a request over an open connection, all processes of both hops", "ms"),
    "new connection at the gateway": ("CPU of a new connection at the gateway and its proxy", "ms"),
    "upload": ("CPU of an upload, all processes of both hops, per MB", "ms"),
    _MEMORY: ("Memory of all processes of both hops, after the first request", "MB"),
}


def _proxies(sides: Mapping[str, Any]) -> list[str]:
    return [name for name in sides if name not in {OURS, PLAIN}]


def in_the_application(measures: Measures) -> str:
    """Return the answer in one line, or nothing if it was not measured."""
    sides = sides_of(measures, "13")
    if not sides:
        return ""
    requests, memory = sides[_REQUEST], sides[_MEMORY]
    best = min(_proxies(requests), key=lambda name: requests[name]["median"])
    least = min(_proxies(memory), key=lambda name: memory[name]["median"])
    ours, plain = requests[OURS]["median"], requests[PLAIN]["median"]
    return (
        "**In the application or in a sidecar?** Through both hops a warm GET takes "
        f"{short(ours)} ms of CPU with mutual TLS in the application, "
        f"{short(requests[best]['median'])} ms with the cheapest pair of proxies ({best}), and "
        f"{short(plain)} ms without any TLS. All processes together have "
        f"{short(memory[OURS]['median'])} MB, and {short(memory[least]['median'])} MB with the "
        f"smallest pair ({least})."
    )


def sidecar_table(measures: Measures) -> Iterator[str]:
    """Yield a line for each way, and a column for each figure; medians."""
    sides = sides_of(measures, "13")
    if not sides:
        yield NOT_MEASURED
        return
    yield f"| | {' | '.join(_COLUMNS.values())} | of it for mutual TLS, ms per GET |"
    yield f"|---|{'---|' * (len(_COLUMNS) + 1)}"
    plain = sides[_REQUEST][PLAIN]["median"]
    for name in (PLAIN, OURS, *_proxies(sides[_REQUEST])):
        cells = [short(sides[title][name]["median"]) for title in _COLUMNS]
        added = "" if name == PLAIN else f"{sides[_REQUEST][name]['median'] - plain:.2f}"
        yield f"| {_called(name)} | {' | '.join(cells)} | {added} |"


def _called(name: str) -> str:
    return {OURS: "**in the application**", PLAIN: "plain services, no TLS"}.get(name, name)


def sidecar_plot(measures: Measures) -> str:
    """Return the plot of that table."""
    sides = sides_of(measures, "13")
    return bar_chart(
        "Mutual TLS in the application, or in a pair of proxies",
        [
            Group(
                words,
                [
                    bar_of(label, sides[title][name], unit, colour)
                    for name, label, colour in (
                        (PLAIN, "no TLS", GREY),
                        (OURS, "in the application", DARK),
                        *((name, name, LIGHT) for name in _proxies(sides[title])),
                    )
                ],
            )
            for title, (words, unit) in _PLOTTED.items()
            if title in sides
        ],
    )


def us_or_the_library(measures: Measures) -> str:
    """Return the answer in one line, or nothing if it was not measured."""
    ratios = {
        each["title"]: short(each["ratio"]["median"]) for each in measures if each["row"] == "12"
    }
    if not ratios:
        return ""
    said = {
        (where, mix): ratios[f"CPU of a warm request at the {where}, {mix} alone"]
        for where in ("gateway", "queue")
        for mix in ("GET", "POST")
    }
    return (
        "**Us or the library?** Over the same mutual TLS a GET takes "
        f"{said['gateway', 'GET']} times the CPU of aiohttp and grpc.aio with a constant answer at "
        f"the gateway, and {said['queue', 'GET']} times at the queue; a POST, of which a form is "
        f"parsed, {said['gateway', 'POST']} and {said['queue', 'POST']} times."
    )


def floor_table(measures: Measures) -> Iterator[str]:
    """Yield a line for each server and kind of request."""
    rows = [each for each in measures if each["row"] == "12"]
    if not rows:
        yield NOT_MEASURED
        return
    yield "| CPU of a warm request, ms | ours | the libraries' floor | ours / floor | goal |"
    yield "|---|---|---|---|---|"
    for each in rows:
        ratio = each["ratio"]
        yield (
            f"| {each['title'].removeprefix('CPU of a warm request ')} | "
            f"{short(each['ours']['median'])} | {short(each['theirs']['median'])} | "
            f"**{short(ratio['median'])}** ({short(ratio['min'])}-{short(ratio['max'])}) | "
            f"{each['bar']:g} |"
        )


def floor_plot(measures: Measures) -> str:
    """Return the plot of that table."""
    return bar_chart(
        "CPU of a warm request: the libraries with a constant answer, and ours",
        [
            Group(
                title.removeprefix("CPU of a warm request "),
                [
                    bar_of("the floor", sides[FLOOR], "ms", GREY),
                    bar_of("ours", sides[OURS], "ms", DARK),
                ],
            )
            for title, sides in sides_of(measures, "12").items()
        ],
    )
