"""What each side of a row has measured, picked out of the results."""

from typing import Any

from benchmarks.plots import Bar
from benchmarks.table import short

Measures = list[dict[str, Any]]
Sides = dict[str, dict[str, dict[str, Any]]]
"""By the title of the measure, by the name of the side: median, min, max, rounds."""


def sides_of(measures: Measures, row: str) -> Sides:
    """Return the sides of a row; nothing if the run has left it out."""
    sides: Sides = {}
    for each in measures:
        if each["row"] == row:
            for side in (each["ours"], each["theirs"]):
                sides.setdefault(each["title"], {})[side["name"]] = side
    return sides


def bar_of(label: str, side: dict[str, Any], unit: str, colour: str) -> Bar:
    """Return the bar of a side: its median, with its range."""
    text = f"{short(side['median'])} {unit}"
    return Bar(label, side["median"], side["min"], side["max"], text, colour)
