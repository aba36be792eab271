"""The programs of examples/, built once and ready to be started."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack import ROOT

_SECONDS: Final = 60
EXAMPLES: Final = ROOT / "examples"
LANGUAGES: Final = ("python", "typescript", "go")
PROTOCOLS: Final = ("http", "grpc")
LIBRARIES: Final[Mapping[tuple[str, str], str]] = {
    ("python", "http"): "aiohttp",
    ("python", "grpc"): "grpcio",
    ("typescript", "http"): "undici",
    ("typescript", "grpc"): "grpc-js",
    ("go", "http"): "net/http",
    ("go", "grpc"): "grpc-go",
}
SERVERS: Final = {**LIBRARIES, ("typescript", "http"): "fastify"}

# What is changed in a client so that it has no certificate to show, and nothing else.
_WITHOUT_CERTIFICATE: Final = {
    "python/http_client.py": (r"\n    context\.load_cert_chain\(.*\)", ""),
    "python/grpc_client.py": (r"\(ca, key, certificate\)", "(ca)"),
    "typescript/http_client.ts": (r"\n    cert: .*\n    key: .*", ""),
    "typescript/grpc_client.ts": (r"crt`\),\n(.*private-key.*\n.*/certificate.*)\n", "crt`)\n"),
    "go/http-client/main.go": (r"(\[\]tls\.Certificate\{certificate\})", r"\1[:0]"),
    "go/grpc-client/main.go": (r"(\[\]tls\.Certificate\{certificate\})", r"\1[:0]"),
}


def missing(language: str) -> str:
    """Return why no program in this language can be run here, or "".

    In CI everything has to be there, so that a failure says what is not.
    """
    if os.environ.get("CI") == "true" or language == "python":
        return ""
    if language == "go":
        return "" if shutil.which("go") else "Go is not installed: https://go.dev/dl"
    if not shutil.which("node"):
        return "Node.js is not installed: https://nodejs.org"
    if not (EXAMPLES / "typescript/node_modules").is_dir():
        return "the packages are not installed: npm ci --prefix examples/typescript"
    return ""


@dataclass(frozen=True)
class Program:
    """What is typed before the arguments, and where."""

    command: tuple[str, ...]
    folder: Path = EXAMPLES


def build(folder: Path, language: str) -> Mapping[str, Program]:
    """Return the programs by name, `http_client` and so on, and `bare_http_client` without a key.

    Nothing is written but in `folder`.
    """
    return {"python": _python, "typescript": _typescript, "go": _go}[language](folder)


def _python(folder: Path) -> Mapping[str, Program]:
    for name in ("http_client.py", "grpc_client.py"):
        (folder / f"bare_{name}").write_text(_bare(f"python/{name}"))
    files = [*folder.glob("*.py"), *(EXAMPLES / "python").glob("*_[cs]*[rt].py")]
    return {file.stem: Program((sys.executable, str(file))) for file in files}


def _typescript(folder: Path) -> Mapping[str, Program]:
    """Compile a copy, whose packages are found by a link, since others may compile as well."""
    original = EXAMPLES / "typescript"
    source = folder / "typescript"
    ignored = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(original, source, ignore=ignored)
    (source / "node_modules").symlink_to(original / "node_modules")
    for name in ("http_client.ts", "grpc_client.ts"):
        (source / f"bare_{name}").write_text(_bare(f"typescript/{name}"))
    compiler = str(original / "node_modules/.bin/tsc")
    _run([compiler], source)
    return {
        file.stem: Program(("node", str(file)), original) for file in (source / "dist").glob("*.js")
    }


def _go(folder: Path) -> Mapping[str, Program]:
    source = EXAMPLES / "go"
    _run(["go", "build", "-o", f"{folder}/", "./..."], source)
    for name in ("http-client", "grpc-client"):
        changed = folder / f"{name}.go"
        changed.write_text(_bare(f"go/{name}/main.go"))
        overlay = folder / f"{name}.json"
        overlay.write_text(json.dumps({"Replace": {str(source / name / "main.go"): str(changed)}}))
        _run(
            ["go", "build", "-overlay", str(overlay), "-o", f"{folder}/bare-{name}", f"./{name}"],
            source,
        )
    programs = [file for file in folder.iterdir() if os.access(file, os.X_OK) and not file.suffix]
    return {file.name.replace("-", "_"): Program((str(file),)) for file in programs}


def _bare(name: str) -> str:
    pattern, replacement = _WITHOUT_CERTIFICATE[name]
    changed, count = re.subn(pattern, replacement, (EXAMPLES / name).read_text())
    assert count == 1, f"{name} has changed: say in _WITHOUT_CERTIFICATE what to leave out"
    return changed


def _run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@dataclass(frozen=True)
class Said:
    """How a client ended, and what it printed."""

    code: int
    out: str
    err: str


Client = Callable[[Path, str], Said]  # with a folder and an address


def started_each_time(program: Program) -> Client:
    """Return a client that is a process each time that it is called."""

    def call(folder: Path, address: str) -> Said:
        ended = subprocess.run(
            [*program.command, str(folder), address],
            cwd=program.folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    return call


@contextmanager
def started_once(language: str, programs: Mapping[str, Program]) -> Iterator[dict[str, Client]]:
    """Yield the clients of Python or TypeScript, which take turns in one process.

    They are run as they are, each time from their first line: only the interpreter and the
    libraries are loaded once.
    """
    drivers = Path(__file__).parent / "drivers"
    command: list[str | Path] = [sys.executable, drivers / "driver.py"]
    if language == "typescript":
        command = ["node", drivers / "driver.mjs"]
    process = subprocess.Popen(
        command,
        cwd=next(iter(programs.values())).folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES / "python")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the C-core's log
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def client(program: Program) -> Client:
        def call(folder: Path, address: str) -> Said:
            assert process.stdin
            assert process.stdout
            print(
                json.dumps([program.command[-1], str(folder), address]),
                file=process.stdin,
                flush=True,
            )
            readable, _, _ = select.select([process.stdout], [], [], _SECONDS)
            assert readable, f"{program.command[-1]} does not end"
            return Said(**json.loads(process.stdout.readline()))

        return call

    with process:  # which closes its pipes and waits for its end
        try:
            yield {name: client(program) for name, program in programs.items() if "client" in name}
        finally:
            process.kill()
