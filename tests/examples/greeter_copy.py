"""A system of one's own: what docs/copy-it.md says to type, typed in a clone of this checkout."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.checkout import ROOT, copy_checkout
from tests.pages import steps_of, type_into_one_shell

PAGE: Final = ROOT / "docs/copy-it.md"


def copy_greeter(home: Path) -> Path:
    """Type the page's commands, compare what they print, and return the folder of the copy."""
    clone, copy = home / "clone", home / "hello"
    # The page's virtual environment is stood for by this one, which has a plugin more.
    alone = {"HOME": str(home), "PYTHONPATH": "", "PYTEST_ADDOPTS": "-p no:asyncio"}
    environment = {**os.environ, **alone}
    clone.mkdir()
    copy_checkout(clone)
    commit = ["git", "-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "-qm", "All"]
    for command in (["git", "init", "-q"], ["git", "add", "."], commit):
        subprocess.run(command, cwd=clone, env=environment, check=True)
    steps = steps_of(PAGE)
    assert len(steps) > 5
    printed = type_into_one_shell(
        (step.command.replace(".venv/bin/python", sys.executable) for step in steps),
        folder=clone,
        environment=environment,
    )
    for step, output in zip(steps, printed, strict=True):
        assert output.strip() == step.output.strip(), f"{step.command} printed {output}"
    return copy
