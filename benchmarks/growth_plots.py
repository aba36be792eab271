"""The plots of growth: connections, videos, and a flood of new connections."""

from typing import Any, Final

from benchmarks.plots import DARK, GREY, LIGHT, Group, bar_chart
from benchmarks.rows.growth import HALF, IDLE, NODE_SATURATED, SATURATED
from benchmarks.sides import Measures, bar_of, sides_of

_FLOOD: Final = {
    IDLE: ("nobody else", GREY),
    HALF: ("half of that", LIGHT),
    SATURATED: ("saturated", DARK),
    NODE_SATURATED: ("Node, saturated", LIGHT),
}


def _by_number(measures: Measures, row: str) -> dict[str, dict[str, Any]]:
    """Return the sides of a row, those of fewer first: `1,000 videos` begins with its number."""
    return {
        title: dict(sorted(sides.items(), key=lambda each: _number(each[0])))
        for title, sides in sides_of(measures, row).items()
    }


def _number(name: str) -> int:
    return int(name.partition(" ")[0].replace(",", ""))


def growth_plots(measures: Measures) -> dict[str, str]:
    """Return each plot by the name of its file."""
    return {
        "performance-connections.svg": bar_chart(
            "CPU of a warm GET with so many connections open, in milliseconds",
            [
                Group(title, [bar_of(name, side, "ms", DARK) for name, side in sides.items()])
                for title, sides in _by_number(measures, "14").items()
            ],
        ),
        "performance-videos.svg": bar_chart(
            "CPU of a call to the store with so many videos in it, in milliseconds",
            [
                Group(title, [bar_of(name, side, "ms", DARK) for name, side in sides.items()])
                for title, sides in _by_number(measures, "9").items()
            ],
        ),
        "performance-flood.svg": bar_chart(
            "What a valid client sees while others open connections, in milliseconds",
            [
                Group(
                    title,
                    [
                        bar_of(label, sides[name], "ms", colour)
                        for name, (label, colour) in _FLOOD.items()
                        if name in sides
                    ],
                )
                for title, sides in sides_of(measures, "15").items()
                if IDLE in sides
            ],
        ),
    }
