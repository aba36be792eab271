"""The console in front of the real services, and a browser in front of the console."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sample_video import make_sample_video
from tests.console.system import System, running_system
from tests.console.tab import MILLISECONDS, Tab, opened_tab
from tests.needs import require_program


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("console")) as system:
        yield system


@pytest.fixture(scope="module")  # its event loop runs in this thread: asyncio's tests need it free
def chromium() -> Iterator[Browser]:
    require_program("chromium", "chromium")
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu"],
            timeout=2 * MILLISECONDS,
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser, system: System) -> Iterator[Tab]:
    """A window at the console, let in by its token; nothing may go wrong in it."""
    with opened_tab(chromium, system.console_url) as tab:
        yield tab
    assert tab.errors == []


@pytest.fixture
def page(tab: Tab) -> Page:
    return tab.page


@pytest.fixture(scope="session")
def video_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "By the sea.mp4"
    make_sample_video(path, seconds=4, width=1280, height=720)
    return path
