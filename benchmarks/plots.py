"""Bar charts as SVG, drawn from the results: the same results give the same bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_LABEL_WIDTH: Final = 150
_BAR_WIDTH: Final = 400
_BAR_HEIGHT: Final = 20
_GAP: Final = 8
_GROUP_GAP: Final = 26
GREY: Final = "#c9c9c9"  # without TLS, or nobody else
LIGHT: Final = "#8fb8de"
DARK: Final = "#2b6cb0"  # ours, as it is


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar with its range: the thin line from `low` to `high`."""

    label: str
    value: float
    low: float
    high: float
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that share a scale, and what they show."""

    title: str
    bars: Sequence[Bar]


def bar_chart(title: str, groups: Sequence[Group]) -> str:
    """Return the chart as an SVG document. Each group has a scale of its own, which begins at 0."""
    body: list[str] = []
    y = 50
    for group in groups:
        body.append(_text(16, y, group.title, weight="bold"))
        y += 12
        scale = _BAR_WIDTH / max(bar.high for bar in group.bars)
        for bar in group.bars:
            body += _bar(y, bar, scale)
            y += _BAR_HEIGHT + _GAP
        y += _GROUP_GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'viewBox="0 0 {_WIDTH} {y}" font-family="sans-serif" font-size="13" fill="#222">'
    )
    ground = f'<rect width="{_WIDTH}" height="{y}" fill="#fff"/>'
    return "\n".join([head, ground, _text(16, 24, title, size=16), *body, "</svg>"]) + "\n"


def _bar(y: int, bar: Bar, scale: float) -> Iterable[str]:
    middle = y + _BAR_HEIGHT // 2
    low, high = (round(_LABEL_WIDTH + value * scale, 1) for value in (bar.low, bar.high))
    yield _text(_LABEL_WIDTH - 10, middle + 5, bar.label, anchor="end")
    yield (
        f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{round(bar.value * scale, 1)}" '
        f'height="{_BAR_HEIGHT}" fill="{bar.colour}"/>'
    )
    yield f'<line x1="{low}" y1="{middle}" x2="{high}" y2="{middle}" stroke="#222"/>'
    yield _text(high + 10, middle + 5, bar.text)


def _text(
    x: float, y: float, words: str, *, size: int = 13, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
