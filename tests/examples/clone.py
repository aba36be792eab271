"""A clone of this checkout with everything committed, in a home of its own."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.checkout import copy_checkout
from tests.examples.lent_venv import lend_venv

_OURS: Final = ("PYTHON", "PYTEST_", "COV_", "COVERAGE_")
_LEND: Final = Path(__file__).with_name("lent_venv.py")


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone in a home folder, in which commands are run as its owner runs them."""

    home: Path

    @property
    def folder(self) -> Path:
        """The clone."""
        return self.home / "clone"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a shell there, without those of the tests that run here."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        return {**kept, "HOME": str(self.home)}

    def run(self, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone, or in another folder."""
        return subprocess.run(
            command,
            cwd=folder or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=300,
        )

    def succeed(self, *command: str, folder: Path | None = None) -> str:
        """Run a command that has to succeed; return what it prints."""
        ended = self.run(*command, folder=folder)
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def commit(self, folder: Path | None = None) -> None:
        """Commit everything."""
        author = ("-c", "user.name=me", "-c", "user.email=me@localhost")
        for command in (("add", "."), (*author, "commit", "--quiet", "-m", "All")):
            self.succeed("git", *command, folder=folder)

    def changes(self, folder: Path | None = None) -> str:
        """Return what git finds changed, or new."""
        status = ("git", "status", "--porcelain", "--untracked-files=all")
        return self.succeed(*status, folder=folder) + self.succeed("git", "diff", folder=folder)


def make_clone(home: Path) -> Clone:
    """Make a clone whose virtual environment is this one."""
    clone = Clone(home)
    clone.folder.mkdir()
    copy_checkout(clone.folder)
    lend_venv(clone.folder)
    clone.succeed("git", "init", "--quiet")
    clone.commit()
    return clone


def lending(command: str, repositories: Sequence[str]) -> str:
    """Return the command, and after it what lends the repositories that it makes our packages."""
    lend = (f" && {shlex.quote(sys.executable)} {_LEND} {each}" for each in repositories)
    return command + "".join(lend)
