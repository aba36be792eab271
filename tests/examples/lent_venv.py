"""Lends this virtual environment to another repository, which then has nothing to install.

    python lent_venv.py REPOSITORY

Its locks are made from the same versions as ours. What it has installed is marked by their copies.
"""

import shutil
import sys
from pathlib import Path


def lend_venv(repository: Path) -> None:
    """Make the repository's .venv of links to what is in ours."""
    venv = repository / ".venv"
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith("installed-"):
            (venv / entry.name).symlink_to(entry)
    for lock in (repository / "requirements").glob("*.txt"):
        shutil.copy(lock, venv / f"installed-{lock.name}")


if __name__ == "__main__":
    lend_venv(Path(sys.argv[1]))
