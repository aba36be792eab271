"""Make a repository of your own: two services, all that they need, and nothing of this demo.

With --update: replace what you have not changed by the version here.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from pki.errors import IdentitiesUnusable
from pki.identities import load_identities
from scaffold import service as services
from scaffold.changes import Changes
from scaffold.errors import ScaffoldError
from scaffold.names import Kind, Service
from scaffold.templates import Values, render
from scaffold.upstream import RECORD, File, read_record, record_of, update, upstream_files, version

_YOURS: Final = ("README.md", "docker-compose.yml", "identities.toml")
_GREETER: Final = Service(name="greeter", kind=Kind.GRPC)
_FRONT: Final = Service(name="front", kind=Kind.HTTP, calls="greeter")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/new_system", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path, help="an empty folder, or none yet")
    parser.add_argument("--trust-domain", metavar="NAME", help="such as example.org")
    parser.add_argument("--update", action="store_true", help="update a system that is there")
    options = parser.parse_args(arguments)
    if options.update == bool(options.trust_domain):
        parser.error("give --trust-domain to make a system, or --update alone to update one")
    folder = options.folder.absolute()
    try:
        print(_update(folder) if options.update else _make(folder, options.trust_domain))
    except (ScaffoldError, OSError) as error:
        print(f"new_system: {error}", file=sys.stderr)
        return 1
    return 0


def _make(folder: Path, trust_domain: str) -> str:
    """Make a system beside its place first, so that there is all of it or nothing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ScaffoldError(f"{folder} is not empty: name a folder that is, or is not there yet.")
    if not shutil.which("git"):
        raise ScaffoldError("git is not installed, and the new repository is made by it.")
    values = _values(_name_of(folder), trust_domain)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch, folder.name)
        _fill(made, values)
        _git(made, "init", "--quiet")
        _git(made, "add", ".")
        made.rename(folder)
    return (
        f"{folder} is made, for the trust domain {trust_domain}. What is yours in it: UPSTREAM.md\n"
        f"    cd {folder}\n"
        "    docker compose up      # then as README.md goes on\n"
        "    ./scripts/test\n"
        "    git commit -m 'A system of my own'"
    )


def _fill(folder: Path, values: Values) -> None:
    files = upstream_files(values)
    yours = {path: File(render(f"system/{path}", values).encode()) for path in _YOURS}
    for path, file in (files | yours | {RECORD: File(record_of(files).encode())}).items():
        file.write(folder / path)
    _check_identities(folder / "identities.toml")
    # Whom a service lets in is known before the other is there: nobody else may call the greeter.
    for service, callers in ((_GREETER, ["front"]), (_FRONT, None)):
        changes = Changes(folder)
        services.add(changes, service, callers)
        changes.apply()


def _check_identities(path: Path) -> None:
    try:
        load_identities(path)
    except IdentitiesUnusable as error:
        raise ScaffoldError(str(error).replace(str(path), "--trust-domain")) from error


def _update(folder: Path) -> str:
    record = read_record(folder)
    files = upstream_files(_values(_name_in(folder), ""))
    kept = update(folder, record, files)
    told = [
        f"{folder} has what is here, version {version()}: see `git diff` there, and CHANGELOG.md."
    ]
    if kept:
        told += ["You have changed these, so they are as they were; what is new in them is here:"]
        told += [f"    {path}" for path in kept]
    return "\n".join(told)


def _values(system: str, trust_domain: str) -> Values:
    return {"system": system, "trust_domain": trust_domain, "version": version()}


def _name_of(folder: Path) -> str:
    """Return a name that a package and a compose project can have."""
    return re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "system"


def _name_in(folder: Path) -> str:
    """Return the name that a system was given."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        return str(project["project"]["name"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return _name_of(folder)


def _git(folder: Path, *arguments: str) -> None:
    command = ["git", *arguments]
    ended = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        raise ScaffoldError(f"git {arguments[0]} failed: {ended.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main())
