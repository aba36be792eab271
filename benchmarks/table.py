"""The results as lines of a table, for a terminal."""

from typing import Any


def heading() -> str:
    """Return the names of the columns."""
    return f"   {'measure':<52} {'unit':<10} {'ours':>22} {'theirs':>22}   {'ratio':>20} {'bar':>8}"


def line(measure: dict[str, Any]) -> str:
    """Return one measure: median and range of each side, of the ratio, and the bar."""
    title = f"{measure['row']} {measure['title']} / {measure['theirs']['name']}"
    return (
        f"   {title:<52} {measure['unit']:<10} {spread(measure['ours']):>22}"
        f" {spread(measure['theirs']):>22}   {spread(measure['ratio']):>20} {verdict(measure):>8}"
    )


def spread(values: dict[str, float]) -> str:
    """Return the median with the range in brackets."""
    return f"{short(values['median'])} ({short(values['min'])}-{short(values['max'])})"


def short(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bar(measure: dict[str, Any]) -> str:
    """Return what the ratio is to reach."""
    if measure["bar"] is None:
        return ""
    said = f"{'>=' if measure['more_is_better'] else '<='} {measure['bar']:g}"
    if (range_bar := measure.get("range_bar")) is not None:
        said += f", range {range_bar:g}"
    return said


def verdict(measure: dict[str, Any]) -> str:
    """Return the bar, and whether it is reached."""
    if measure["bar"] is None:
        return ""
    return f"{bar(measure)} {'✓' if measure['is_met'] else '✗'}"
