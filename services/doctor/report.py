"""Showing what was found: ticks and crosses for people, JSON for programs."""

import json
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, TextIO

from doctor.checks import Checked, Examination, Result

_MARKS: Final[Mapping[Result, tuple[str, str, str]]] = {  # Unicode, ASCII, colour (ECMA-48 SGR)
    Result.OK: ("✓", "+", "32"),
    Result.NOTE: ("!", "!", "33"),
    Result.FAILED: ("✗", "x", "31"),
    Result.SKIPPED: ("-", "-", "2"),
}
_WIDTH: Final = 100
_INDENT: Final = " " * 4


def print_examination(examination: Examination, out: TextIO) -> None:
    """Print every finding, what could not be looked at in one line, and what to fix first."""
    for heading, section in examination.sections.items():
        if shown := [checked for checked in section if not checked.is_blocked]:
            print(heading, file=out)
            for checked in shown:
                print(_paragraph(checked, out), file=out)
            print(file=out)
    blocked = (each for section in examination.sections.values() for each in section)
    for reason, count in Counter(
        each.finding.detail for each in blocked if each.is_blocked
    ).items():
        print(f"Checks skipped {printable(reason)}: {count}.", file=out)
    failures = examination.failures()
    if not failures:
        print("Nothing is wrong here.", file=out)
        return
    print(f"{len(failures)} failed; fix {failures[0].id} first.", file=out)


def _paragraph(checked: Checked, out: TextIO) -> str:
    finding = checked.finding
    unicode_mark, ascii_mark, colour = _MARKS[finding.result]
    mark = unicode_mark if _can_show(unicode_mark, out) else ascii_mark
    if out.isatty():
        mark = f"\033[{colour}m{mark}\033[0m"
    lines = [f"  {mark} {checked.claim} ({checked.id})"]
    lines += _wrap(finding.detail)
    if finding.fix:
        lines += _wrap(f"Fix: {finding.fix}")
    if finding.command:  # in one line, however long, so that it can be copied
        lines.append(f"{_INDENT}  $ {printable(finding.command)}")
    return "\n".join(lines)


def _wrap(text: str) -> list[str]:
    """Wrap at spaces only, so that a path can be copied."""
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """Replace what could control a terminal: names and errors come from the other side."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _can_show(text: str, out: TextIO) -> bool:
    try:
        text.encode(out.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def print_json(content: Mapping[str, Any], out: TextIO) -> None:
    """Print one JSON object."""
    json.dump(content, out, indent=2)
    print(file=out)


def as_dict(examination: Examination) -> dict[str, Any]:
    """Return the examination as JSON's types. The ids are stable; the texts are for people."""
    return {
        "failed": [checked.id for checked in examination.failures()],
        "checks": [
            {
                "id": checked.id,
                "claim": checked.claim,
                "result": checked.finding.result.value,
                "detail": checked.finding.detail,
                "fix": checked.finding.fix,
                "command": checked.finding.command,
            }
            for section in examination.sections.values()
            for checked in section
        ],
    }
