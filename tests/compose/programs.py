"""Running something inside a container, as somebody who has got in would."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from docker.models.containers import Container

_INSIDE: Final = Path(__file__).resolve().parent / "inside"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a program ended; `stderr` is decoded."""

    exit_code: int
    output: bytes
    stderr: str


def program(name: str, *arguments: str) -> list[str]:
    """Return the command of a program in inside/: nothing has to be written to run it."""
    return ["python", "-c", (_INSIDE / name).read_text(), *arguments]


def run(container: Container, *command: str, user: str = "") -> Answer:
    """Run a command, as the container's own user or as another, with no more rights than it has."""
    result = container.exec_run(list(command), user=user, demux=True)
    output, errors = cast("tuple[bytes | None, bytes | None]", result.output)
    assert result.exit_code is not None
    return Answer(result.exit_code, output or b"", (errors or b"").decode("utf-8", "replace"))
