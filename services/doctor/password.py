"""A password from a file, from the environment or from a person; never from the command line,
which other users of the machine can read while the program runs."""

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from doctor.errors import UsageError

_MAX_BYTES: Final = 4096


def from_file(path: Path) -> bytes:
    """Return the first line of a file. Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            return file.readline(_MAX_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"The password file {path} cannot be read: {error.strerror}.") from error


def from_environment(name: str) -> bytes:
    """Return the content of an environment variable. Raises `UsageError`."""
    if (value := os.environ.get(name)) is None:
        raise UsageError(f"The environment variable {name} is not set: it should hold a password.")
    return value.encode()


def ask(path: Path) -> bytes | None:
    """Ask the person at the terminal; None if there is none."""
    if not sys.stdin.isatty():
        return None
    return getpass.getpass(f"Password of {path}: ").encode()
