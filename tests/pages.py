"""A page of the docs, read as its reader does: every command typed into one shell, in order."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

_BLOCK: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PROMPT: Final = re.compile(r"^\$ ", re.MULTILINE)
_MARK: Final = "--- the output of the next command ---"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, and what the page says that it prints."""

    command: str
    output: str


def steps_of(page: Path) -> list[Step]:
    """Return the steps of all console blocks, in order."""
    steps = []
    for block in _BLOCK.findall(page.read_text("utf-8")):
        for text in _PROMPT.split(block)[1:]:
            command, _, output = text.partition("\n")
            steps.append(Step(command, output))
    return steps


def type_into_one_shell(
    commands: Iterable[str], *, folder: Path, environment: Mapping[str, str], seconds: float = 120
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
