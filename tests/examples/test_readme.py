"""examples/README.md tells the truth: its commands are typed, and its lines are in the examples."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, LANGUAGES, build, missing
from tests.examples.servers import running

README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
FILES = {"python": "python/http_server.py", "typescript": "typescript/http_server.ts"}
FILES["go"] = "go/http-server/main.go"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def steps() -> Iterator[tuple[str, str]]:
    for step in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield command, output


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_lines_are_in_the_examples(language: str) -> None:
    code = (EXAMPLES / FILES[language]).read_text()
    lines = [line.strip() for line in "".join(blocks(language)).splitlines()]
    assert len(lines) >= 4
    for line in lines:
        assert line in code, line
    # The other server of the language differs in what its library wants, and not in this.
    assert lines[-1] in (EXAMPLES / FILES[language].replace("http", "grpc")).read_text()


def test_its_commands_print_what_it_says(tmp_path: Path) -> None:
    """Against the server in Python, in folders and at a port of its own."""
    if reason := missing("typescript") or missing("go"):
        pytest.skip(reason)
    typed = list(steps())
    assert len(typed) == 4
    programs = build(tmp_path, "python")
    node = build(tmp_path, "typescript")["http_client"].command[-1]
    hello = tmp_path / "hello"
    run(blocks("sh")[0], hello, "", node)
    with running(programs["http_server"], hello / "server", tmp_path / "log") as server:
        for command, output in typed:
            assert run(command, hello, server.address, node) == output, command


def run(command: str, hello: Path, address: str, node: str) -> str:
    command = command.replace("~/hello", str(hello)).replace("localhost:8443", address)
    command = re.sub(r"^python ", f"{sys.executable} ", command).replace(
        "dist/http_client.js", node
    )
    return subprocess.run(
        ["sh", "-c", command],
        cwd=EXAMPLES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
