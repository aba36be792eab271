"""Debian's Firefox shows every view, and makes, uploads and plays a video."""

from pathlib import Path
from typing import Final

from tests.console.firefox import running_firefox
from tests.console.system import System
from tests.needs import require_program

VIEWS: Final = ("videos", "handshake", "intruders", "access", "certificates")


async def test_every_view_is_shown_without_a_complaint(system: System, tmp_path: Path) -> None:
    require_program("firefox-esr", "firefox-esr")
    async with running_firefox(tmp_path) as firefox:
        await firefox.go(system.console_url)
        for view in VIEWS:
            await firefox.evaluate(f"location.hash = '#/{view}'")
            await firefox.wait_for(
                f"document.querySelector('#nav a[aria-current]')?.dataset.path === '{view}'"
                " && document.querySelector('main h1')"
                " && !document.querySelector('main .skeleton')"
            )
        await firefox.wait_for("document.querySelectorAll('.lane .badge.accepted').length === 3")
        assert firefox.errors == []


async def test_a_sample_is_made_uploaded_and_played(system: System, tmp_path: Path) -> None:
    require_program("firefox-esr", "firefox-esr")
    async with running_firefox(tmp_path) as firefox:
        await firefox.go(system.console_url)
        button = (
            "[...document.querySelectorAll('button')].find(b => b.textContent.startsWith('Make'))"
        )
        await firefox.wait_for(button)
        await firefox.evaluate(f"{button}.click()")
        await firefox.wait_for("document.querySelector('.player video')")
        await firefox.evaluate(
            "(async () => { const film = document.querySelector('video');"
            " film.muted = true; await film.play(); })()"
        )
        await firefox.wait_for("document.querySelector('video').currentTime > 0.3")
        assert firefox.errors == []
