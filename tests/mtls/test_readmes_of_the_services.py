"""What the pages of services/ say to type, typed: against the live system, or to start it.

That of the doctor needs containers: tests/compose/test_doctor_inside_and_outside.py.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from local_stack import Service, Stack
from sample_video import make_sample_video
from tests.examples.servers import free_address, listening
from tests.needs import require_program
from tests.pages import ROOT, blocks_of, normalised, steps_of, type_into_one_shell

Running = tuple[Stack, Service, Service]
SERVICES: Final = ROOT / "services"
PYTHON: Final = ".venv/bin/python"
VARYING: Final = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def test_curl_uploads_as_the_gateways_page_says(running: Running, tmp_path: Path) -> None:
    require_program("curl", "curl")
    stack, _, gateway = running
    (tmp_path / "certs").symlink_to(stack.certs)
    make_sample_video(tmp_path / "video.mp4", seconds=1)
    (step,) = steps_of(SERVICES / "gateway/README.md")
    command = step.command.replace("localhost:8443", gateway.address)
    printed = type_into_one_shell([command], folder=tmp_path, environment=os.environ)
    assert normalised(printed[0], VARYING) == normalised(step.output, VARYING)


def test_the_librarys_examples_print_what_its_page_says(running: Running, tmp_path: Path) -> None:
    stack, _, _ = running
    for name in ("services", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "certs").symlink_to(stack.certs)
    steps = steps_of(ROOT / "examples/library/README.md")
    assert len(steps) == 5
    port = free_address().rpartition(":")[2]
    commands = []
    for step in steps:
        command = step.command.replace("8444", port).replace(PYTHON, sys.executable)
        if command.endswith("&"):  # a reader is slower than a server
            command += f"\nuntil (: </dev/tcp/localhost/{port}) 2>/dev/null; do sleep 0.05; done"
        commands.append(command)
    printed = type_into_one_shell(commands, folder=tmp_path, environment=os.environ)
    for step, output in zip(steps, printed, strict=True):
        assert normalised(output, VARYING) == normalised(step.output, VARYING), step.command


def test_the_queue_starts_as_its_page_says(running: Running, tmp_path: Path) -> None:
    stack, _, _ = running
    (tmp_path / "certs").symlink_to(stack.certs)
    for name in ("services", "protos"):
        (tmp_path / name).symlink_to(ROOT / name)
    (block,) = blocks_of(SERVICES / "video_queue/README.md", "sh")
    address = free_address()
    command = ["sh", "-c", block.text.replace(PYTHON, sys.executable)]
    environment = {**os.environ, "VIDEO_QUEUE_LISTEN": address}
    log = tmp_path / "log"
    with listening(command, address, folder=tmp_path, log=log, environment=environment):
        assert (tmp_path / "data").is_dir()
    shutil.rmtree(tmp_path / "data")
