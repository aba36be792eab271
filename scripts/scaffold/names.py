"""The names of a service: one that people type, and those that are made of it."""

import keyword
import re
import sys
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from scaffold.errors import ScaffoldError

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST: Final = 20  # so that no line of the code gets too long


class Kind(StrEnum):
    """What a service is."""

    GRPC = "grpc"
    HTTP = "http"
    WORKER = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service: its name is that of its identity, its container and its host."""

    name: str
    kind: Kind
    calls: str = ""

    @property
    def module(self) -> str:
        """The name of its package."""
        return module_of(self.name)

    @property
    def command(self) -> str:
        """The command that makes it."""
        calls = f" --calls {self.calls}" if self.calls else ""
        return f"scripts/new_service {self.name} --kind {self.kind}{calls}"


def module_of(name: str) -> str:
    """Return the name of a service's package."""
    return name.replace("-", "_")


def class_of(name: str) -> str:
    """Return the name of a service's service in its contract."""
    return "".join(part.capitalize() for part in name.split("-"))


def prefix_of(name: str) -> str:
    """Return how the names of a service's variables begin."""
    return module_of(name).upper()


def check_name(name: str) -> None:
    """Raise `ScaffoldError` if this is no name for a service."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ScaffoldError(
            f"{name!r} is no name for a service: use lower-case letters, digits and hyphens, such "
            f"as order-book, and at most {_LONGEST} characters."
        )
    module = module_of(name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise ScaffoldError(f"{module} is a word of Python's own: choose another name.")


def check_hides_nothing(name: str, root: Path) -> None:
    """Raise `ScaffoldError` if a Python package has the name already, installed or below `root`."""
    module = module_of(name)
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    folders = [str(root / folder) for folder in settings["tool"]["mypy"]["mypy_path"]]
    folders += [path for path in sys.path if "site-packages" in path]
    for taken in (module, f"{module}_api"):
        if PathFinder.find_spec(taken, folders):
            raise ScaffoldError(
                f"There is a Python package {taken}, which {name} would hide: choose another name."
            )
