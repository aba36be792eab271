"""docs/performance.md and its plot, made from the results: no figure in it is typed by hand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, Final

from benchmarks.plots import Bar, Group, bar_chart
from benchmarks.table import bar, short, spread
from local_stack import ROOT

RESULTS: Final = ROOT / "benchmarks" / "results.json"
_WORDS: Final = ROOT / "benchmarks" / "performance.md"
_PAGE: Final = ROOT / "docs" / "performance.md"
_PLOT: Final = ROOT / "docs" / "performance-cost.svg"

_TRANSPORTS: Final = {"plain": "plain TCP", "tls": "TLS", "mtls": "mutual TLS"}
_COSTS: Final = {
    "new connection": "A new connection at the gateway",
    "warm GET": "A request over an open connection, through both hops",
    "upload": "Upload of a large video, through both hops, per MB",
    "download": "Download of a large video, through both hops, per MB",
}

# Of all processes of the machine: more than a single one that is always at work.
_BUSY: Final = 1.0
_CAUTION: Final = (
    "**The machine was busy with other work during this run.** CPU and memory can be trusted, and "
    "requests/s, MB/s and times cannot: repeat it where nothing else runs.\n"
)
_COST_ROWS: Final = frozenset({"5", "11"})

Measures = list[dict[str, Any]]


def files_of(results: Mapping[str, Any]) -> dict[Path, str]:
    """Return the page and its plot, by where they belong."""
    measures: Measures = results["measures"]
    words = Template(_WORDS.read_text("utf-8"))
    page = words.substitute(
        rounds=results["rounds"],
        caution=_CAUTION if results["load_average_before"] > _BUSY else "",
        comparison="\n".join(_rows(each for each in measures if each["bar"] is not None)),
        details="\n".join(_rows(each for each in measures if each["bar"] is None)),
        environment="\n".join(f"| {name} | {said} |" for name, said in _machine(results)),
    )
    return {
        _PAGE: page,
        _PLOT: bar_chart("CPU of both servers, in milliseconds", _groups(measures)),
    }


def write_page(results: Mapping[str, Any]) -> None:
    """Write the page and its plot into docs/."""
    for path, content in files_of(results).items():
        path.write_text(content, "utf-8")


def _rows(measures: Iterator[dict[str, Any]]) -> Iterator[str]:
    for each in measures:
        met = {True: "yes", False: "**no**", None: ""}[each["is_met"]]
        ratio = each["ratio"]
        cells = (
            each["row"],
            each["title"],
            each["unit"],
            f"{each['ours']['name']}: {spread(each['ours'])}",
            f"{each['theirs']['name']}: {spread(each['theirs'])}",
            f"**{short(ratio['median'])}** ({short(ratio['min'])}-{short(ratio['max'])})",
        )
        judged = () if each["bar"] is None else (bar(each), met)
        yield f"| {' | '.join((*cells, *judged))} |"


def _machine(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from results["environment"].items()
    yield "load average before", str(results["load_average_before"])


def _groups(measures: Measures) -> list[Group]:
    groups = []
    for title, words in _COSTS.items():
        sides = {
            side["name"]: side
            for each in measures
            if each["title"] == title and each["row"] in _COST_ROWS
            for side in (each["ours"], each["theirs"])
        }
        bars = [
            Bar(
                label,
                sides[name]["median"],
                sides[name]["min"],
                sides[name]["max"],
                f"{short(sides[name]['median'])} ms",
            )
            for name, label in _TRANSPORTS.items()
            if name in sides
        ]
        if bars:
            groups.append(Group(words, bars))
    return groups
