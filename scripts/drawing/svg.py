"""An SVG picture with real text, which follows the reader's choice of light or dark.

Lengths are in units of the picture, whose width is that of a phone: a page shows it no smaller
than 0.8 of that. Each picture has its own ground, so that it can be read on any page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

Point = tuple[float, float]

_SANS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
_SHAPES: Final = f"""\
text {{ font: 13px {_SANS}; }}
.title {{ font-size: 15px; font-weight: 600; }}
.strong {{ font-weight: 600; }}
.small {{ font-size: 12px; }}
.mono {{ font: 12px {_MONO}; }}
.line {{ fill: none; stroke-width: 1.5; }}
.dashed {{ stroke-dasharray: 5 4; }}
.dotted {{ stroke-dasharray: 1.5 4; stroke-linecap: round; }}"""


class Colour(NamedTuple):
    """A class of the style sheet: what it colours, and with what on a light and a dark ground."""

    name: str
    what: str
    light: str
    dark: str


COLOURS: Final = (
    Colour("ground", "fill", "#ffffff", "#0d1117"),
    Colour("card", "fill", "#f6f8fa", "#161b22"),
    Colour("tint", "fill", "#e9f5ec", "#12261b"),
    Colour("edge", "stroke", "#c5ccd3", "#3d444d"),
    Colour("ink", "fill", "#1f2328", "#e6edf3"),
    Colour("soft", "fill", "#59636e", "#a3adb8"),
    Colour("grey", "stroke", "#6e7781", "#8b949e"),
    Colour("grey-fill", "fill", "#6e7781", "#8b949e"),
    Colour("green", "stroke", "#1a7f37", "#3fb950"),
    Colour("green-fill", "fill", "#1a7f37", "#3fb950"),
    Colour("on-green", "fill", "#ffffff", "#0d1117"),
    Colour("blue-fill", "fill", "#0a5bc4", "#6cb0ff"),
    Colour("orange", "stroke", "#a04100", "#f0a35e"),
    Colour("orange-fill", "fill", "#a04100", "#f0a35e"),
    Colour("violet-fill", "fill", "#7a3fc0", "#c29bff"),
)
_SHOWN: Final = 1.25  # of its size, where there is room
_HEAD: Final = (7, 4)  # an arrow's head: its length, and half of its width


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture in the making; what is drawn later lies above."""

    width: int
    height: int
    title: str
    description: str
    parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, words: str, classes: str = "ink", *, anchor: str = "start"
    ) -> None:
        """Write one line; y is its base line."""
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{classes}"{anchored}>{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, classes: str, *, corner: int = 6
    ) -> None:
        """Draw a rectangle with round corners; x and y are its upper left corner."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{corner}" '
            f'class="{classes}"/>'
        )

    def circle(self, x: float, y: float, radius: float, classes: str) -> None:
        """Draw a circle around a point."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{classes}"/>')

    def line(self, points: Sequence[Point], classes: str) -> None:
        """Draw a line through the points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class="line {classes}"/>')

    def arrow(self, start: Point, end: Point, colour: str, style: str = "") -> None:
        """Draw a horizontal or vertical arrow; the colour strokes, and `COLOUR-fill` fills."""
        (x, y), (length, half) = end, _HEAD
        if start[1] == y:
            back = x - length if start[0] < x else x + length
            base, wings = (back, y), ((back, y - half), (back, y + half))
        else:
            back = y - length if start[1] < y else y + length
            base, wings = (x, back), ((x - half, back), (x + half, back))
        self.line((start, base), f"{colour} {style}".strip())
        head = " ".join(f"{px:g},{py:g}" for px, py in (end, *wings))
        self.parts.append(f'<polygon points="{head}" class="{colour}-fill"/>')

    def label(self, x: float, y: float, words: str, classes: str = "green-fill") -> None:
        """Write words in a box of its own, with its middle at the point."""
        width = 8.6 * len(words) + 16
        self.box(x - width / 2, y - 10, width, 20, classes, corner=10)
        self.text(x, y + 4, words, "on-green strong", anchor="middle")

    def svg(self) -> str:
        """Return the document."""
        light, dark = self._colours()
        size = f'width="{self.width}" height="{self.height}"'
        shown = f'width="{self.width * _SHOWN:g}" height="{self.height * _SHOWN:g}"'
        frame = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-labelledby="title about"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {shown} {frame}>',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="about">{escape(self.description)}</desc>',
            f"<style>\n{_SHAPES}",
            *light,
            "@media (prefers-color-scheme: dark) {",
            *dark,
            "}\n</style>",
            f'<rect {size} rx="8" class="ground"/>',
        )
        return "\n".join((*head, *self.parts, "</svg>")) + "\n"

    def _colours(self) -> tuple[list[str], list[str]]:
        """Return the rules of the classes that are used, for light and for dark."""
        classes = re.findall(r'class="([^"]+)"', "".join(self.parts))
        used = [row for row in COLOURS if row.name in {"ground", *" ".join(classes).split()}]
        return (
            [f".{row.name} {{ {row.what}: {row.light}; }}" for row in used],
            [f".{row.name} {{ {row.what}: {row.dark}; }}" for row in used],
        )
