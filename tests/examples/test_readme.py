"""examples/README.md tells the truth: its commands are typed, and its lines are in the examples."""

import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.examples.programs import EXAMPLES, LANGUAGES, build, missing
from tests.examples.servers import free_address, listening
from tests.pages import Step, blocks_of, steps_of, type_into_one_shell

PAGE: Final = EXAMPLES / "README.md"
RUN_IT: Final = "Run it"
FILES = {"python": "python/http_server.py", "typescript": "typescript/http_server.ts"}
FILES["go"] = "go/http-server/main.go"


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_lines_are_in_the_examples(language: str) -> None:
    """The last block of a language is of gRPC."""
    http = (EXAMPLES / FILES[language]).read_text()
    grpc = (EXAMPLES / FILES[language].replace("http", "grpc")).read_text()
    *decisions, last = blocks_of(PAGE, language)
    assert len(decisions) == 3
    for block, code in [*((block, http) for block in decisions), (last, grpc)]:
        for line in block.text.splitlines():
            assert line.strip() in code, line
    # The other server of the language differs in what its library wants, and not in this.
    assert decisions[-1].text.strip() in grpc


def test_its_commands_print_what_it_says(tmp_path: Path) -> None:
    """Against each of the three servers, in folders and at a port of its own."""
    if reason := missing("typescript") or missing("go"):
        pytest.skip(reason)
    made, *clients = steps_of(PAGE, section=RUN_IT)
    assert len(clients) == 4
    (servers,) = blocks_of(PAGE, "sh", section=RUN_IT)
    commands = servers.text.splitlines()
    assert len(commands) == len(LANGUAGES)
    compiled = Path(build(tmp_path, "typescript")["http_client"].command[-1]).parent
    said = type_(made, tmp_path, "", compiled)
    assert re.sub(r"\b([A-Z]+) = ", r"\1=", said) == re.sub(r"\b([A-Z]+) = ", r"\1=", made.output)
    for command in commands:
        address = free_address()
        started = ["sh", "-c", here(command, tmp_path, address, compiled)]
        with listening(started, address, folder=EXAMPLES, log=tmp_path / "log"):
            for client in clients:
                said = type_(client, tmp_path, address, compiled)
                assert said == client.output, f"{client.command}, of the server {command}"


def type_(step: Step, home: Path, address: str, compiled: Path) -> str:
    command = here(step.command, home, address, compiled)
    (said,) = type_into_one_shell([command], folder=EXAMPLES, environment=os.environ)
    return said


def here(command: str, home: Path, address: str, compiled: Path) -> str:
    """Return the command with this test's folders, port and Python."""
    command = command.replace("~/", f"{home}/").replace("localhost:8443", address)
    command = command.replace("dist/", f"{compiled}/")
    return re.sub(r"^python ", f"{sys.executable} ", command)
