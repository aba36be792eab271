"""The transcoder as it is started: a process of its own, which starts one for each video."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.alive import check_alive
from tests.making_videos import Clip, write_clip
from tests.unit.transcoder.conftest import Server, names_in
from tests.unit.transcoder.fake_queue import PATIENCE_SECONDS, Call, FakeQueue

LONG = tuple(n / 25 for n in range(25 * 60))


@pytest.fixture
def variables(server: Server, certs: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": "services:protos/gen",
        "TRANSCODER_IDENTITY": str(certs / "transcoder"),
        "TRANSCODER_QUEUE": f"localhost:{server.port}",
        "TRANSCODER_WORK": str(tmp_path / "work"),
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def started(variables: Mapping[str, str], *program: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *(program or ("-m", "transcoder"))),
        env=variables,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> tuple[int | None, str]:
    """Return the exit code and what was written."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


def events_in(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def clip(path: Path, **features: Any) -> bytes:
    write_clip(path, Clip(**features))
    return path.read_bytes()


async def test_a_video_becomes_renditions_and_a_thumbnail(
    queue: FakeQueue, variables: dict[str, str], tmp_path: Path
) -> None:
    queue.content = clip(tmp_path / "clip.mp4", size=(1280, 720))
    queue.chunk_bytes = 100_000
    queue.add("clip")
    async with started(variables) as process:
        await queue.completed("clip")
        await queue.came(Call("ClaimVideo"), times=2)
        process.send_signal(signal.SIGTERM)
        exit_code, stderr = await ended(process)
    assert exit_code == 0
    names = [published.metadata.name for published in queue.published]
    assert names == ["720p", "360p", "thumbnail"]
    assert queue.published[0].content[4:8] == b"ftyp"
    assert queue.published[-1].content.startswith(b"\xff\xd8")
    assert [event["event"] for event in events_in(stderr)] == [
        "identity.loaded",
        "sandbox.ready",
        "worker.started",
        "queue.reached",
        "video.claimed",
        "video.completed",
        "worker.stopping",
        "worker.stopped",
    ]


async def test_what_is_not_a_video_is_failed_with_a_reason(
    queue: FakeQueue, variables: dict[str, str]
) -> None:
    queue.content = b"not a video"
    queue.add("text")
    async with started(variables):
        await queue.until(lambda: len(queue.reports("text")) == 2)
    assert queue.reports("text")[-1].startswith("FAILED: This is not a video")


async def test_grpc_does_not_get_in_the_way_of_starting_processes(
    queue: FakeQueue, variables: dict[str, str]
) -> None:
    """With gRPC's fork handlers one in five of them crashes."""
    queue.content = b"not a video"
    numbers = [str(number) for number in range(30)]
    for number in numbers:
        queue.add(number)
    async with started(variables):
        for count in range(len(numbers)):  # a busy machine may need long for all of them together
            await queue.came(Call("ClaimVideo"), times=count + 2)
    assert [len(queue.reports(number)) for number in numbers] == [2] * len(numbers)


async def test_a_stop_in_the_middle_of_a_video_leaves_no_process_and_no_file(
    queue: FakeQueue, variables: dict[str, str], tmp_path: Path
) -> None:
    queue.content = clip(tmp_path / "clip.mp4", times=LONG, sounds=())
    queue.chunk_bytes = 100_000
    queue.add("long")
    async with started(variables | {"TRANSCODER_HEARTBEAT_SECONDS": "0.01"}) as process:
        await queue.until(
            lambda: any(call.method == "Heartbeat" and call.what for call in queue.calls)
        )
        process.send_signal(signal.SIGTERM)
        # The process that transcodes has inherited no standard error, or this would wait for it.
        exit_code, stderr = await ended(process)
    assert exit_code == 0
    assert events_in(stderr)[-1]["event"] == "worker.stopped"
    assert not names_in(tmp_path / "work")
    assert queue.reports("long") == ["PROCESSING"]


async def test_it_stops_while_it_waits_for_work(
    queue: FakeQueue, variables: dict[str, str]
) -> None:
    async with started(variables) as process:
        await queue.came(Call("ClaimVideo"), times=2)
        process.send_signal(signal.SIGTERM)
        exit_code, _ = await ended(process)
    assert exit_code == 0


async def test_it_stops_while_there_is_no_queue(server: Server, variables: dict[str, str]) -> None:
    await server.stop()
    async with started(variables) as process:
        assert process.stderr
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in process.stderr:
                if json.loads(line)["event"] == "queue.unreachable":
                    break
        process.send_signal(signal.SIGTERM)
        exit_code, _ = await ended(process)
    assert exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "exit_code"),
    [
        ("TRANSCODER_QUEUE", "", 2),
        ("TRANSCODER_IDENTITY", "/nowhere", 1),
        ("TRANSCODER_WORK", "/dev/null", 1),
    ],
)
async def test_a_setting_that_is_wrong_ends_it_with_words_that_say_so(
    variables: dict[str, str], name: str, value: str, exit_code: int
) -> None:
    async with started(variables | {name: value}) as process:
        code, stderr = await ended(process)
    assert code == exit_code
    assert (value or name) in stderr


WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
denied = [struct.pack("=HBBI", 0x15, 0, 1, number) + struct.pack("=HBBI", 6, 0, 0, 0x50026)
          for number in (444, 445, 446)]  # of Landlock: ENOSYS, as of a kernel that has none
allowed = struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)
code = struct.pack("=HBBI", 0x20, 0, 0, 0) + b"".join(denied) + allowed
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code)), 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "transcoder"])
"""


async def test_without_landlock_it_does_not_start_and_says_what_to_do(
    variables: dict[str, str], queue: FakeQueue
) -> None:
    async with started(variables, "-c", WITHOUT_LANDLOCK) as process:
        code, stderr = await ended(process)
    assert code == 1
    _loaded, event = events_in(stderr)
    assert event["event"] == "worker.cannot_start"
    assert "Landlock: none" in event["reason"]
    assert "TRANSCODER_LET_VIDEOS_READ_THE_KEY=yes" in event["reason"]
    assert queue.calls == []


async def test_without_landlock_it_starts_if_it_is_told_to_and_still_filters_calls(
    variables: dict[str, str], queue: FakeQueue, tmp_path: Path
) -> None:
    variables |= {"TRANSCODER_LET_VIDEOS_READ_THE_KEY": "yes"}
    queue.content = clip(tmp_path / "clip.mp4")
    queue.add("clip")
    async with started(variables, "-c", WITHOUT_LANDLOCK) as process:
        await queue.completed("clip")
        process.send_signal(signal.SIGTERM)
        _, stderr = await ended(process)
    [missing] = [it for it in events_in(stderr) if it["event"] == "sandbox.missing"]
    assert (missing["landlock"], missing["seccomp"]) == (0, True)


async def test_it_shows_that_it_is_alive(
    variables: dict[str, str], queue: FakeQueue, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    async with started(variables | {"TRANSCODER_ALIVE_FILE": str(alive)}):
        await queue.came(Call("ClaimVideo"))
        check_alive(alive)
