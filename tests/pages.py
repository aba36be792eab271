"""A page of the docs, read as its reader does: every command typed into one shell, in order."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final[Sequence[Path]] = sorted(
    {
        page
        for pattern in ("*.md", "*/README.md", "docs/*.md", "examples/**/*.md", "services/*/*.md")
        for page in ROOT.glob(pattern)
        if "node_modules" not in page.parts
    }
)

# A block that nothing runs has its reason on the line before it: <!-- not run: ... -->
_BLOCK: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>.*?) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_PROMPT: Final = re.compile(r"^\$ ", re.MULTILINE)
_MARK: Final = "--- the output of the next command ---"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `console` has commands and what they print, `sh` commands or a script."""

    kind: str
    text: str
    not_run: str
    """Why no test runs or compares it, or "": then one does."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, and what the page says that it prints."""

    command: str
    output: str


def blocks_of(page: Path, kind: str = "", *, section: str = "") -> list[Block]:
    """Return the fenced blocks, in order; of one kind, only those that are to be run."""
    text = page.read_text("utf-8")
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [
        Block(match["kind"], match["text"], match["reason"] or "")
        for match in _BLOCK.finditer(text)
    ]
    return [each for each in found if not kind or (each.kind == kind and not each.not_run)]


def steps_of(page: Path, *, section: str = "") -> list[Step]:
    """Return the steps of all console blocks that are to be run, in order."""
    steps = []
    for block in blocks_of(page, "console", section=section):
        for text in _PROMPT.split(block.text)[1:]:
            command, _, output = text.partition("\n")
            while command.endswith("\\"):
                more, _, output = output.partition("\n")
                command += f"\n{more}"
            steps.append(Step(command, output))
    return steps


def type_into_one_shell(
    commands: Iterable[str], *, folder: Path, environment: Mapping[str, str], seconds: float = 240
) -> list[str]:
    """Return what each command prints; a `cd` or a variable counts for those that follow it."""
    script = "".join(f"echo '{_MARK}'\n{command}\n" for command in commands)
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        timeout=seconds,
    )
    return ended.stdout.split(f"{_MARK}\n")[1:]


def normalised(output: str, varying: Sequence[tuple[re.Pattern[str], str]]) -> str:
    """Replace what differs from run to run."""
    for pattern, replacement in varying:
        output = pattern.sub(replacement, output)
    return output.strip()
