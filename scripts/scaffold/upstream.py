"""What a system of one's own has from here: which files, and how its folder knows them again."""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scaffold.errors import ScaffoldError
from scaffold.templates import Values, render

HERE: Final = Path(__file__).resolve().parents[2]
RECORD: Final = "UPSTREAM.sha256"

# Copied as they are: the path there, and a pattern of paths here.
_COPIED: Final = (
    "services/mtls/**/*",
    "services/runtime/*.py",
    "services/doctor/*.py",
    "certs/Dockerfile",
    "certs/.gitignore",
    "scripts/_venv.sh",
    "scripts/doctor",
    "scripts/new_service",
    "scripts/bootstrap_certs.py",
    "scripts/pki/*.py",
    "scripts/scaffold/*.py",
    "scripts/scaffold/templates/service/**/*",
    "tests/strangers.py",
    "requirements/certs.txt",
    "requirements/doctor.txt",
    "requirements/protos.txt",
    "requirements/services.txt",
)
_NOT_COPIED: Final = {"scripts/scaffold/new_system.py", "scripts/scaffold/upstream.py"}
_RENAMED: Final = {
    "UPSTREAM-LICENSE": "LICENSE",
    "requirements/dev.txt": "requirements/system-dev.txt",
}
_RENDERED: Final = (
    "UPSTREAM.md",
    "pyproject.toml",
    ".gitignore",
    ".dockerignore",
    "scripts/generate_protos",
    "scripts/lint",
    "scripts/lock",
    "scripts/test",
    "scripts/whose",
    "tests/conftest.py",
)
_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class File:
    """What a file holds, and whether it is a program."""

    content: bytes
    is_program: bool = False

    @property
    def digest(self) -> str:
        """What the record has of it."""
        return hashlib.sha256(self.content).hexdigest()

    def write(self, path: Path) -> None:
        """Write it, with the folder that it lies in."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        path.chmod(0o755 if self.is_program else 0o644)


def upstream_files(values: Values) -> dict[str, File]:
    """Return the files of a system that are upstream's, by path."""
    sources = {path: path for path in _copied()} | _RENAMED
    files = {
        path: File((HERE / source).read_bytes(), bool((HERE / source).stat().st_mode & 0o100))
        for path, source in sources.items()
    }
    for path in _RENDERED:
        text = render(f"system/{path}", values)
        files[path] = File(text.encode(), text.startswith("#!"))
    return dict(sorted(files.items()))


def _copied() -> Iterator[str]:
    for pattern in _COPIED:
        for file in HERE.glob(pattern):
            path = file.relative_to(HERE)
            if file.is_file() and "__pycache__" not in path.parts and str(path) not in _NOT_COPIED:
                yield path.as_posix()


def version() -> str:
    """Return the version of services/mtls, which stands for all of it."""
    content = (HERE / "services/mtls/pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(content)["project"]["version"])


def record_of(files: Mapping[str, File]) -> str:
    """Return the record of these files, in the form of sha256sum."""
    return "".join(f"{file.digest}  {path}\n" for path, file in files.items())


def read_record(folder: Path) -> dict[str, str]:
    """Return the digests in the record of a system. Raises `ScaffoldError`."""
    try:
        lines = (folder / RECORD).read_text("utf-8").splitlines()
    except OSError as error:
        raise ScaffoldError(
            f"{folder} has no {RECORD}, so it is no system that scripts/new_system has made."
        ) from error
    matches = [_LINE.fullmatch(line) for line in lines]
    record = {match[2]: match[1] for match in matches if match}
    if len(record) != len(lines) or any(_leaves(path) for path in record):
        raise ScaffoldError(f"{folder / RECORD} is damaged: get it back from git.")
    return record


def _leaves(path: str) -> bool:
    """Whether a path leads out of the folder."""
    return path.startswith("/") or ".." in Path(path).parts


def update(folder: Path, record: Mapping[str, str], files: Mapping[str, File]) -> list[str]:
    """Replace what is upstream's and as it was; return what is not, and has a newer version.

    What is gone from upstream is deleted.
    """
    kept = []
    for path in sorted({*record, *files}):
        now, new = _digest(folder / path), files.get(path)
        if now == (new.digest if new else None):
            continue
        if now != record.get(path):
            if new is None or new.digest != record.get(path):
                kept.append(path)
        elif new:
            new.write(folder / path)
        else:
            (folder / path).unlink()
    (folder / RECORD).write_text(record_of(files), "utf-8")
    return kept


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
