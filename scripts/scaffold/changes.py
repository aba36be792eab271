"""Changes to a repository that are planned first, then made, all of them or none."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from scaffold.errors import ScaffoldError


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of the files below `root`, by their path there; None: it is deleted."""

    root: Path
    files: dict[str, bytes | None] = field(default_factory=dict)

    def create(self, path: str, text: str) -> None:
        """Plan a new file."""
        self.files[path] = text.encode()

    def delete(self, path: str) -> None:
        """Plan to delete a file."""
        self.files[path] = None

    def edit(self, path: str, text: str) -> None:
        """Plan another content of a file."""
        self.files[path] = text.encode()

    def read(self, path: str) -> str:
        """Return a file as it will be. Raises `ScaffoldError` if there is none."""
        try:
            content = self.files[path] if path in self.files else (self.root / path).read_bytes()
        except FileNotFoundError:
            content = None
        if content is None:
            raise ScaffoldError(
                f"There is no {path} in {self.root}: run this at the root of this repository, or "
                "of one that scripts/new_system made."
            )
        return content.decode()

    def apply(self) -> None:
        """Make the changes; if one fails, put back what was there, and raise."""
        before = {path: _read(self.root / path) for path in self.files}
        try:
            for path, content in self.files.items():
                _write(self.root, path, content)
        except BaseException:
            for path, content in before.items():
                _write(self.root, path, content)
            raise

    def unsaved(self) -> list[str]:
        """Return which of the files that are to be deleted git does not have as they are now."""
        paths = [path for path, content in self.files.items() if content is None]
        status = ["git", "status", "--porcelain", "-z", "--untracked-files=all", "--", *paths]
        ended = subprocess.run(status, cwd=self.root, check=False, capture_output=True, text=True)
        if ended.returncode != 0:  # no repository: nothing is saved
            return paths
        return [line[3:] for line in ended.stdout.split("\0") if line]


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _write(root: Path, path: str, content: bytes | None) -> None:
    """Write into the file that is there, so that a container which has it mounted sees it."""
    file = root / path
    if content is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return
    file.unlink(missing_ok=True)
    for parent in Path(path).parents[:-1]:
        folder = root / parent
        if folder.is_dir() and not {entry.name for entry in folder.iterdir()} - {"__pycache__"}:
            _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove a folder in which there is bytecode at most."""
    cache = folder / "__pycache__"
    if cache.is_dir():
        for file in cache.iterdir():
            file.unlink()
        cache.rmdir()
    folder.rmdir()
