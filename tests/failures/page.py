"""Makes docs/what-can-go-wrong.md from the records of what was said, one of each system.

    python -m tests.failures.page < record.json

keeps the record, in place of an older one of the same system, and writes the page anew.
scripts/what_can_go_wrong does both for the systems that CI has.
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from local_stack import ROOT
from tests.failures.failure import Failure
from tests.failures.record import FAILURES, GROUPS, Record, System, Words

PAGE: Final = ROOT / "docs" / "what-can-go-wrong.md"

_WIDTH: Final = 120
_HEAD: Final = Path(__file__).with_name("head.md")
_RECORDS: Final = Path(__file__).with_name("records")


def records() -> list[Record]:
    """Return all records, the newest system first."""
    found = [Record.parse(file.read_text(encoding="utf-8")) for file in _RECORDS.glob("*.json")]
    return sorted(found, key=lambda each: _number(each.system.python), reverse=True)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def page() -> str:
    """Return the text of the page."""
    known = records()
    parts = [_contents([each.system for each in known])]
    for group, failures in GROUPS.items():
        parts.append(f"## {group}")
        parts += [_entry(failure, known) for failure in failures]
    parts.append("Next: [what it costs](performance.md).")
    return "\n\n".join(parts) + "\n"


def _contents(systems: Sequence[System]) -> str:
    """Return the head of the page: what it is, and its groups."""
    first, *others = systems
    whose = f"The words are those of {first}, as in our images."
    if others:
        listed = " and with ".join(map(str, others))
        whose += f" Other words of {listed} stand below them."
    counts = (
        f"- [{group}](#{_anchor(group)}): {len(failures)}" for group, failures in GROUPS.items()
    )
    head = _HEAD.read_text(encoding="utf-8")
    return f"{head}\n{_filled(whose)}\n\n" + "\n".join(counts)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _short(system: System) -> str:
    return f"Python {system.python} and OpenSSL {system.libssl}"


def _entry(failure: Failure, known: Sequence[Record]) -> str:
    first, *others = ((each.system, each.words[failure.title]) for each in known)
    return "\n\n".join(
        (
            f"### {FAILURES.index(failure) + 1}. {failure.title}",
            _filled(failure.did),
            _block(first[1].said),
            *(part for other in others for part in _where_others_differ(first[1], *other)),
            _filled(f"**Why.** {failure.why}"),
            _filled(f"**Fix.** {failure.fix}"),
            *(
                _filled(f"**Doctor{where}.** {said}")
                for where, said in _diagnoses(first[1], others).items()
            ),
        )
    )


def _filled(prose: str) -> str:
    return textwrap.fill(prose, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _block(said: Mapping[str, str]) -> str:
    lines = "\n".join(line for name, words in said.items() for line in _row(name, words))
    return f"```text\n{lines}\n```"


def _row(name: str, words: str) -> Iterator[str]:
    width = 9 if len(name) < 9 else len(name) + 2
    for number, line in enumerate(words.splitlines()):
        yield (name if number == 0 else "").ljust(width) + line


def _where_others_differ(first: Words, system: System, words: Words) -> Iterator[str]:
    different = {name: said for name, said in words.said.items() if said != first.said.get(name)}
    if different:
        yield f"With {_short(system)}:"
        yield _block(different)


def _diagnoses(first: Words, others: Sequence[tuple[System, Words]]) -> Mapping[str, str]:
    different = {
        f", with {_short(system)}": words.doctor
        for system, words in others
        if words.doctor != first.doctor
    }
    return {"": first.doctor, **different}


def main() -> None:
    """Keep the record on standard input, and write the page."""
    record = Record.parse(sys.stdin.read())
    name = f"python-{record.system.python}-openssl-{record.system.libssl}.json"
    (_RECORDS / name).write_text(str(record), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
