"""docs/performance.md and its plots, made from the results: no figure in it is typed by hand."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, Final

from benchmarks import answers
from benchmarks.growth_plots import growth_plots
from benchmarks.plots import DARK, GREY, LIGHT, Bar, Group, bar_chart
from benchmarks.sides import Measures, Sides, bar_of, sides_of
from benchmarks.table import bar, short, spread
from local_stack import ROOT

RESULTS: Final = ROOT / "benchmarks" / "results.json"
README: Final = ROOT / "README.md"
_WORDS: Final = ROOT / "benchmarks" / "performance.md"
_DOCS: Final = ROOT / "docs"
_PAGE: Final = _DOCS / "performance.md"
_BETWEEN: Final = re.compile(r"(<!-- of docs/performance\.md -->\n).*?(<!-- -->\n)", re.DOTALL)

_TRANSPORTS: Final = {
    "plain": ("plain TCP", GREY),
    "tls": ("TLS", LIGHT),
    "mtls": ("mutual TLS", DARK),
}
_COSTS: Final = {
    "new connection": "A new connection at the gateway",
    "warm GET": "A request over an open connection, through both hops",
    "upload": "Upload of a large video, through both hops, per MB",
    "download": "Download of a large video, through both hops, per MB",
}

# Of all processes of the machine: more than a single one that is always at work.
_BUSY: Final = 0.5
_CAUTION: Final = (
    "**The machine was busy with other work during this run.** CPU and memory can be trusted, and "
    "requests/s, MB/s and times cannot: repeat it where nothing else runs.\n"
)
_COST_ROWS: Final = ("5", "11")
_OWN_TABLES: Final = ("12", "13", "14", "15")
_ABOUT_PGO: Final = "https://docs.python.org/3/using/configure.html#performance-options"
_PGO: Final = {
    "with PGO": "The Python of this run was built with profile-guided optimization "
    f"([PGO]({_ABOUT_PGO})).",
    "without PGO": "**The Python of this run was built without profile-guided optimization** "
    f"([PGO]({_ABOUT_PGO})), which Python recommends. With it all that is Python is faster, ours, "
    "FastAPI and the floor alike; Node, Go and the proxies are what they are.",
    "the system's": "The Python of this run is the system's own, which does not tell whether it "
    f"was built with profile-guided optimization ([PGO]({_ABOUT_PGO})).",
    "": "",
}


def files_of(results: Mapping[str, Any]) -> dict[Path, str]:
    """Return the page, its plots and the README, by where they belong."""
    measures: Measures = results["measures"]
    words = Template(_WORDS.read_text("utf-8"))
    page = words.substitute(
        rounds=results["rounds"],
        caution=_CAUTION if results["load_average_before"] > _BUSY else "",
        pgo=_PGO[results["environment"].get("build of Python", "")],
        in_the_application=answers.in_the_application(measures),
        sidecars="\n".join(answers.sidecar_table(measures)),
        us_or_the_library=answers.us_or_the_library(measures),
        floor="\n".join(answers.floor_table(measures)),
        missed="\n".join(_missed(measures)),
        comparison="\n".join(_rows(each for each in measures if each["bar"] is not None)),
        details="\n".join(
            _rows(
                each for each in measures if each["bar"] is None and each["row"] not in _OWN_TABLES
            )
        ),
        connections="\n".join(_table(sides_of(measures, "14"), "ms")),
        flood="\n".join(_table(sides_of(measures, "15"))),
        environment="\n".join(f"| {name} | {said} |" for name, said in _machine(results)),
    )
    plots = {
        "performance-cost.svg": bar_chart(
            "CPU of both servers, in milliseconds", list(_costs(measures))
        ),
        "performance-sidecars.svg": answers.sidecar_plot(measures),
        "performance-floor.svg": answers.floor_plot(measures),
        **growth_plots(measures),
    }
    return {
        _PAGE: page,
        README: _with_two_lines(README.read_text("utf-8"), measures),
        **{_DOCS / name: plot for name, plot in plots.items()},
    }


def write_page(results: Mapping[str, Any]) -> None:
    """Write the page and its plots into docs/, and its two lines into the README."""
    for path, content in files_of(results).items():
        path.write_text(content, "utf-8")


def _with_two_lines(readme: str, measures: Measures) -> str:
    """Return the README with both answers. Raises `ValueError` if it has no place for them."""
    lines = (answers.in_the_application(measures), answers.us_or_the_library(measures))
    said = "".join(f"- {line}\n" for line in lines if line)
    written, places = _BETWEEN.subn(lambda found: f"{found[1]}{said}{found[2]}", readme)
    if places != 1:
        raise ValueError("README.md has no place for its lines of docs/performance.md.")
    return written


def _missed(measures: Measures) -> Iterator[str]:
    for each in measures:
        if each["is_met"] is False:
            names = f"{each['ours']['name']} / {each['theirs']['name']}"
            ratio = each["ratio"]
            yield (
                f"- row {each['row']}, {each['title']}, {names}: {short(ratio['median'])}, "
                f"to be {bar(each)}"
            )


def _rows(measures: Iterable[dict[str, Any]]) -> Iterator[str]:
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


def _table(sides: Sides, unit: str = "") -> Iterator[str]:
    """Yield a table: a line for each title, a column for each side."""
    names = list(dict.fromkeys(name for each in sides.values() for name in each))
    if not names:
        yield answers.NOT_MEASURED
        return
    yield f"| {unit} | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for title, values in sides.items():
        cells = (spread(values[name]) if name in values else "" for name in names)
        yield f"| {title} | {' | '.join(cells)} |"


def _machine(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from results["environment"].items()
    yield "load average before", str(results["load_average_before"])


def _costs(measures: Measures) -> Iterator[Group]:
    sides = {
        title: values for row in _COST_ROWS for title, values in sides_of(measures, row).items()
    }
    for title, words in _COSTS.items():
        bars: list[Bar] = [
            bar_of(label, sides[title][name], "ms", colour)
            for name, (label, colour) in _TRANSPORTS.items()
            if name in sides.get(title, {})
        ]
        if bars:
            yield Group(words, bars)
