"""What other programs make: formatted code (ruff), and the code of a contract (protoc)."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scaffold.errors import ScaffoldError

_BIN: Final = Path(sys.executable).parent


def formatted(root: Path, files: Mapping[str, str], own_packages: Sequence[str]) -> dict[str, str]:
    """Return the files as `scripts/lint` wants them: how long a name is decides where lines end."""
    own = ", ".join(f'"{package}"' for package in own_packages)
    own_first = ["--config", f"lint.isort.known-first-party=[{own}]"]  # they are not there yet
    imports = ["check", "--quiet", "--fix", "--select", "I", *own_first]
    done = {}
    for path, text in files.items():
        if path.endswith(".py"):
            text = _ruff(root, [*imports, "--stdin-filename", path, "-"], text)  # noqa: PLW2901
            text = _ruff(root, ["format", "--stdin-filename", path, "-"], text)  # noqa: PLW2901
        done[path] = text
    return done


def compiled(path: str, contract: str) -> dict[str, str]:
    """Return the code of a contract, as scripts/generate_protos does, by path in protos/gen."""
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "protos"), Path(scratch, "gen")
        (source / path).parent.mkdir(parents=True)
        (source / path).write_text(contract, "utf-8")
        target.mkdir()
        outputs = [
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet,only_async:{target}",
        ]
        protoc = [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={source}",
            *outputs,
            path,
        ]
        _run(protoc, "", PATH=f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}")
        for folder in (folder for folder in target.rglob("*") if folder.is_dir()):
            for marker in ("__init__.py", "py.typed"):
                (folder / marker).touch()
        files = (file for file in target.rglob("*") if file.is_file())
        return {file.relative_to(target).as_posix(): file.read_text("utf-8") for file in files}


def _ruff(root: Path, arguments: list[str], text: str) -> str:
    return _run([str(_BIN / "ruff"), *arguments], text, folder=root)


def _run(command: list[str], text: str, folder: Path | None = None, **variables: str) -> str:
    ended = subprocess.run(
        command,
        input=text,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise ScaffoldError(f"{Path(command[0]).name} failed: {ended.stderr.strip()}")
    return ended.stdout
