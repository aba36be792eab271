"""Whatever ends the decoding process costs this one video, says why, and leaves nothing behind."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.making_videos import Clip, write_clip
from transcoder.errors import (
    Crashed,
    Killed,
    MediaError,
    Stalled,
    TooMuchMemory,
    TooMuchOutput,
    TooMuchWork,
)
from transcoder.media import JOB
from transcoder.media.errors import TooLong, TooManyPixels
from transcoder.sandbox.landlock import landlock_version
from transcoder.sandbox.limits import Limits
from transcoder.sandbox.orphans import children_of
from transcoder.sandbox.seccomp import has_seccomp
from transcoder.sandbox.supervisor import run_job

LIMITS = Limits()
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes more than a second of work."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    times = tuple(n / 25 for n in range(150))
    write_clip(path, Clip(size=(1280, 720), times=times, sound_lasts=6))
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return tmp_path / "made"


def child() -> int:
    """Return the id of the decoding process, the only one of its kind below this process."""
    [process] = [it for it in children_of(os.getpid()) if b"sandbox.child" in command_of(it)]
    return process


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return b""


def is_gone(path: Path) -> bool:
    return not path.exists()


def once(act: Callable[[], object]) -> Callable[[int], None]:
    """Return a callback that acts at the first progress, and only then."""

    def on_progress(percent: int) -> None:
        if percent == 0:
            act()

    return on_progress


async def test_progress_grows_from_0_to_100(video: Path, made: Path) -> None:
    percents: list[int] = []
    for file in await run_job(JOB, video, made, LIMITS, percents.append):
        file.content.close()
    assert percents[0] == 0
    assert percents[-1] == 100
    assert len(percents) > 50
    assert percents == sorted(set(percents))


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGSEGV, Crashed, "broke down"),
        (signal.SIGABRT, Crashed, "broke down"),
        (signal.SIGKILL, Killed, "memory ran out"),
        (signal.SIGXCPU, TooMuchWork, "computing time"),
    ],
)
async def test_a_signal_that_ends_the_process_fails_the_video(
    video: Path, made: Path, number: int, error: type[MediaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        await run_job(JOB, video, made, LIMITS, once(lambda: os.kill(child(), number)))
    assert is_gone(made)


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        (replace(LIMITS, cpu_seconds=1), TooMuchWork, "computing time"),
        (replace(LIMITS, memory_bytes=50 * MEGABYTE), TooMuchMemory, "more memory"),
        (replace(LIMITS, memory_bytes=200 * MEGABYTE), TooMuchMemory, "more memory"),
        (replace(LIMITS, output_bytes=MEGABYTE // 4), TooMuchOutput, "larger than allowed"),
        (replace(LIMITS, max_seconds=5), TooLong, "0:00:05"),
        (replace(LIMITS, max_pixels=1280 * 719), TooManyPixels, "1280 x 720"),
    ],
)
async def test_a_limit_fails_the_video(
    video: Path, made: Path, limits: Limits, error: type[MediaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        await run_job(JOB, video, made, limits, lambda _: None)
    assert is_gone(made)


async def test_a_process_that_hangs_is_ended(video: Path, made: Path) -> None:
    limits, stopped = replace(LIMITS), []

    def stop() -> None:
        stopped.append(child())
        os.kill(stopped[0], signal.SIGSTOP)
        # Only now: before its first progress a process on a busy machine may need some time.
        object.__setattr__(limits, "stall_seconds", 0.5)

    with pytest.raises(Stalled, match="no progress"):
        await run_job(JOB, video, made, limits, once(stop))
    assert is_gone(made)
    assert is_gone(Path(f"/proc/{stopped[0]}"))


async def test_cancellation_ends_the_process_and_leaves_nothing(video: Path, made: Path) -> None:
    begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        run_job(JOB, video, made, LIMITS, once(lambda: begun.set_result(child())))
    )
    await asyncio.wait({begun, task}, return_when=asyncio.FIRST_COMPLETED)
    assert not task.done(), task
    process = begun.result()
    assert not is_gone(Path(f"/proc/{process}"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_gone(Path(f"/proc/{process}"))
    assert is_gone(made)


def test_a_worker_that_is_killed_takes_the_process_with_it(video: Path, made: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path;"
        "from transcoder.sandbox.limits import Limits;"
        "from transcoder.media import JOB;"
        "from transcoder.sandbox.supervisor import run_job;"
        "say = lambda percent: print(percent, flush=True);"
        "asyncio.run(run_job(JOB, Path(sys.argv[1]), Path(sys.argv[2]), Limits(), say))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, video, made],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": "services"},
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"0\n"
        [process] = children_of(worker.pid)
        descriptor = os.pidfd_open(process)
        worker.kill()
    ended, _, _ = select.select([descriptor], [], [], 30)
    os.close(descriptor)
    assert ended


async def test_the_process_inherits_no_secret_and_cannot_raise_its_limits(
    video: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "secret")
    secret = tmp_path / "private-key.pem"
    secret.touch()
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003
        seen: dict[str, str] = {}
        files: set[str] = set()

        def look() -> None:
            folder = Path(f"/proc/{child()}")
            for name in ("environ", "limits", "status"):
                seen[name] = (folder / name).read_text()
            for descriptor in (folder / "fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    files.add(str(descriptor.readlink()))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await run_job(JOB, video, made, LIMITS, once(look))
    assert [it.split("=")[0] for it in seen["environ"].split("\0") if it] == ["PYTHONPATH"]
    assert str(video) in files
    assert str(secret) not in files
    # Confined, it gives up new privileges before: test_landlock.py and test_seccomp.py say more.
    assert f"NoNewPrivs:\t{int(landlock_version() > 0 or has_seccomp())}\n" in seen["status"]
    assert f"Seccomp:\t{2 * has_seccomp()}\n" in seen["status"]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen["limits"].splitlines()}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max data size"] == [str(LIMITS.memory_bytes)] * 2
    assert limits["Max file size"] == [str(LIMITS.output_bytes)] * 2
    assert limits["Max open files"] == [str(LIMITS.open_files)] * 2
    assert limits["Max cpu time"] == [str(LIMITS.cpu_seconds), str(LIMITS.cpu_seconds + 5)]
    assert is_gone(made)


def test_uvloop_survives_one_video_after_the_other(video: Path, made: Path) -> None:
    """It aborts the whole worker if a file is closed that it still watches."""

    async def convert() -> None:
        for _ in range(5):
            with pytest.raises(TooManyPixels):
                await run_job(JOB, video, made, replace(LIMITS, max_pixels=1), lambda _: None)

    uvloop.run(convert())


async def test_an_output_folder_that_exists_is_left_alone(video: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.touch()
    with pytest.raises(FileExistsError):
        await run_job(JOB, video, tmp_path, LIMITS, lambda _: None)
    assert not is_gone(mine)
