"""Breaks the code on purpose, as tests/mutations.toml says, and prints what no test notices.

Each mutation is made in a copy of this checkout, so yours is not touched. Exits with 1 if one has
survived, or if a list entry does not fit the code any more.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.checkout import ROOT, copy_checkout

LIST: Final = ROOT / "tests" / "mutations.toml"
_SECONDS: Final = 300  # a test that hangs has noticed something too
_NOTICED: Final = {1, 2}  # exit codes of pytest: a test failed, or could not even be imported


class MutationError(Exception):
    """A mutation of the list cannot be made, or its tests cannot be run."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of one file that makes it less secure, and the tests that have to notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Return the file's text below `root` with the change. Raises `MutationError`."""
        text = (root / self.file).read_text("utf-8")
        if (found := text.count(self.old)) != 1:
            raise MutationError(
                f"{self.name}: {self.file} has {self.old!r} {found} times, not once."
            )
        return text.replace(self.old, self.new)


def load_mutations(path: Path = LIST) -> list[Mutation]:
    """Read the list; each file names the tests of its mutations."""
    found = []
    for file, entry in tomllib.loads(path.read_text("utf-8")).items():
        for name, (old, new) in entry["mutations"].items():
            found.append(Mutation(name, file, old, new, tuple(entry["tests"])))
    return found


def is_noticed(copy: Path, tests: Sequence[str]) -> bool:
    """Run the tests in the copy; return whether any fails. Raises `MutationError`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    if ended.returncode not in _NOTICED | {0}:
        raise MutationError(f"pytest {' '.join(tests)} says: {ended.stdout}{ended.stderr}")
    return ended.returncode in _NOTICED


def _require_green(copy: Path, groups: Iterable[Sequence[str]]) -> None:
    for tests in groups:
        if is_noticed(copy, tests):  # else every mutation would be
            raise MutationError(f"{' '.join(tests)}: red before anything was changed.")


def survivors(mutations: Sequence[Mutation], copy: Path) -> list[Mutation]:
    """Make each mutation in the copy, and return those that no test has noticed."""
    found = []
    for number, mutation in enumerate(mutations, 1):
        path = copy / mutation.file
        sound = path.read_text("utf-8")
        path.write_text(mutation.apply(copy), "utf-8")
        noticed = is_noticed(copy, mutation.tests)
        path.write_text(sound, "utf-8")
        verdict = "noticed" if noticed else "SURVIVED"
        print(f"{number:3} of {len(mutations)}  {verdict:8}  {mutation.name}", flush=True)
        if not noticed:
            found.append(mutation)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Make the mutations whose name has one of the texts given, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("parts", nargs="*", help="of the names or files to choose; default: all")
    parts = parser.parse_args(arguments).parts or [""]
    chosen = [
        each
        for each in load_mutations()
        if any(part in f"{each.file} {each.name}" for part in parts)
    ]
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder)
        copy_checkout(copy)
        try:
            _require_green(copy, dict.fromkeys(each.tests for each in chosen))
            found = survivors(chosen, copy)
        except MutationError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{len(found)} of {len(chosen)} survived.")
    for each in found:
        print(f"{each.file}: {each.name}\n  - {each.old}\n  + {each.new}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
