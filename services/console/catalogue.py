"""The entries of docs/what-can-go-wrong.md, read from the page itself.

The page is made by a script, so that every entry has one form: a heading with its number, what was
done, what each tool said, why, how to fix it, and what the doctor says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).resolve()
# Beside this file in an image, in docs/ in a clone.
_PLACES: Final = (
    _HERE.with_name("what-can-go-wrong.md"),
    _HERE.parents[2] / "docs" / "what-can-go-wrong.md",
)
_ENTRY: Final = re.compile(r"^### (\d+)\. (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `said` is what the tools said, as on the page. `anchor` is its place there."""

    number: int
    title: str
    anchor: str
    did: str
    said: str
    why: str
    fix: str
    doctor: str

    def as_json(self) -> dict[str, Any]:
        """Return it for the page."""
        return asdict(self)


@cache
def entries() -> Mapping[str, Entry]:
    """Return all entries by their titles; none where the page is not there."""
    page = next((path for path in _PLACES if path.exists()), None)
    text = page.read_text(encoding="utf-8") if page else ""
    return {entry.title: entry for entry in _entries(text)}


def _entries(text: str) -> Iterator[Entry]:
    found = list(_ENTRY.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    for match, end in zip(found, ends, strict=True):
        parts = text[match.end() : end].partition("\n## ")[0].strip().split("\n\n")
        yield Entry(
            int(match[1]),
            _plain(match[2]),
            _anchor(match[0].removeprefix("### ")),
            _plain(parts[0]),
            _block(parts),
            _labelled(parts, "**Why.**"),
            _labelled(parts, "**Fix.**"),
            _labelled(parts, "**Doctor.**"),
        )


def _block(parts: list[str]) -> str:
    block = next((part for part in parts if part.startswith("```")), "")
    return "\n".join(block.splitlines()[1:-1])


def _labelled(parts: list[str], label: str) -> str:
    part = next((part for part in parts if part.startswith(label)), "")
    return _plain(part.removeprefix(label))


def _plain(markdown: str) -> str:
    return " ".join(_LINK.sub(r"\1", markdown).replace("`", "").split())


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
