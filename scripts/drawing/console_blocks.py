"""What a page of docs/ shows as printed, which is kept true by a test of that page."""

import re
from typing import Final

_BLOCK: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)
_COMMAND: Final = re.compile(r"^\$ ", re.MULTILINE)


def outputs(page: str, command: str) -> list[str]:
    """Return what each command that begins with these words prints, in order."""
    steps = [step for block in _BLOCK.findall(page) for step in _COMMAND.split(block)[1:]]
    return [step.partition("\n")[2] for step in steps if step.startswith(command)]
