"""docs/issuers.md, typed: what its tests share."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.pages import ROOT, normalised, steps_of, type_into_one_shell

PAGE: Final = ROOT / "docs/issuers.md"
_VARYING: Final = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"unix:uid:\d+"), "unix:uid:USER"),
    (re.compile(r"^.*\bTerminated\b.*\n", re.MULTILINE), ""),
)


def check_section(
    section: str,
    folder: Path,
    commands: Mapping[str, Path],
    *,
    change: Callable[[str], str] = str,
    ending: str = "",
) -> None:
    """Type a section of the page in `folder`, and compare what is printed with what it says.

    `commands` are the programs that it names, by their paths there. `change` is made to each
    command, and `ending` is typed last.
    """
    for name, program in commands.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        (folder / name).chmod(0o755)
    steps = steps_of(PAGE, section=section)
    assert len(steps) >= 5
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    printed = type_into_one_shell(
        [*(change(step.command) for step in steps), ending],
        folder=folder,
        environment={**os.environ, "PATH": path},
    )
    for step, output in zip(steps, printed, strict=False):
        said = f"{step.command}\n{output}"
        assert normalised(output, _VARYING) == normalised(step.output, _VARYING), said
