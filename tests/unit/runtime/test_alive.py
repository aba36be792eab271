"""A health check sees whether the event loop of another process moves."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import alive
from runtime.alive import NotAliveError, alive_file, check_alive, show_alive
from runtime.healthcheck import main


async def test_a_loop_that_moves_is_alive(tmp_path: Path) -> None:
    task = asyncio.create_task(show_alive(tmp_path / "alive"))
    await asyncio.sleep(0)  # the task runs until it waits
    check_alive(tmp_path / "alive")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_process_that_cannot_do_its_work_is_not_alive_until_it_can(tmp_path: Path) -> None:
    with alive_file(tmp_path / "alive") as file:
        for _ in range(2):
            file.show(alive=True)
            check_alive(tmp_path / "alive")
            file.show(alive=False)
            with pytest.raises(NotAliveError, match="cannot do its work"):
                check_alive(tmp_path / "alive")


def test_without_a_path_nothing_is_shown() -> None:
    with alive_file(None) as file:
        file.show(alive=True)
        file.show(alive=False)


@pytest.mark.parametrize(("seconds", "is_alive"), [(29, True), (31, False)])
def test_a_loop_that_has_not_moved_for_half_a_minute_is_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    is_alive: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(alive, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    (tmp_path / "alive").write_text(f"{1000 - seconds:020.3f}")
    if is_alive:
        check_alive(tmp_path / "alive")
    else:
        with pytest.raises(NotAliveError, match="has not moved for 31 s"):
            check_alive(tmp_path / "alive")


@pytest.mark.parametrize("content", [None, b"", b"soon"])
def test_a_file_without_a_time_is_not(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "alive").write_bytes(content)
    with pytest.raises(NotAliveError, match="has not started"):
        check_alive(tmp_path / "alive")


def test_the_health_check_fails_for_a_process_that_is_not_alive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it looks at anything else, so that no answer of a service outweighs it."""
    arguments = ["grpc://127.0.0.1:1", "--identity", str(tmp_path)]
    assert main([*arguments, "--alive", str(tmp_path / "alive")]) == 1
    assert "has not started" in capsys.readouterr().err


def test_the_file_alone_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For an orchestrator that restarts what does not move, whatever has become of its server."""
    file = tmp_path / "alive"
    file.write_text(f"{time.monotonic():020.3f}")
    assert main(["--alive", str(file)]) == 0
    file.write_text(f"{time.monotonic() - 31:020.3f}")
    assert main(["--alive", str(file)]) == 1
    assert "has not moved" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["--identity", "."], ["grpc://127.0.0.1:1"], ["grpc://h:1", "--alive", "."]]
)
def test_without_anything_to_check_it_is_a_wrong_command(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
