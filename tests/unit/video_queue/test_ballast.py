"""A disk that is full still has room for the database: what is there can be deleted."""

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tests.unit.video_queue.conftest import OWNER, upload
from video_queue.storage import rendition_rows
from video_queue.storage.ballast import Ballast
from video_queue.storage.settings import Settings
from video_queue.storage.store import Store


def test_ballast_takes_up_room_and_gives_it_back(tmp_path: Path) -> None:
    """Room on the disk, not only in the name of a file with a hole in it."""
    ballast = Ballast(tmp_path)
    ballast.load()
    assert ballast.is_loaded
    assert (tmp_path / ".ballast").stat().st_blocks * 512 >= 16 * 1024 * 1024
    ballast.drop()
    assert not ballast.is_loaded
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trouble", ["hardly any room", "no room"])
def test_a_disk_without_room_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    disk = os.statvfs(tmp_path)

    def full(*_: object) -> None:
        raise OSError

    if trouble == "no room":
        monkeypatch.setattr(os, "posix_fallocate", full)
    else:
        nearly_full = os.statvfs_result((*disk[:4], 1, *disk[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _path: nearly_full)
    ballast = Ballast(tmp_path)
    ballast.load()
    assert not ballast.is_loaded
    assert list(tmp_path.iterdir()) == []


def test_after_a_restart_on_a_full_disk_the_ballast_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ballast(tmp_path).load()
    disk = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*disk[:4], 0, *disk[5:])))
    restarted = Ballast(tmp_path)
    restarted.load()
    assert restarted.is_loaded


@pytest.mark.database("sqlite")
async def test_on_a_full_disk_a_video_can_be_deleted(
    queue: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has no room for as long as the ballast is on the disk."""
    video = await upload(queue)
    drop = rendition_rows.drop

    def full_until_it_is_dropped(*arguments: object) -> object:
        if (settings.data / ".ballast").exists():
            cause = sqlite3.OperationalError("database or disk is full")
            cause.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError("DELETE", {}, cause)
        return drop(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rendition_rows, "drop", full_until_it_is_dropped)
    await queue.library.delete(video.id, OWNER)
    assert await queue.library.page(1, None) == ([], None)
    await upload(queue)
    assert (settings.data / ".ballast").exists()  # for the next time
