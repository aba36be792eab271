"""The page itself: nothing for axe-core to complain of, no sideways scrolling, and no weight."""

from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from console.assets import FOLDER
from tests.console.system import System
from tests.console.tab import Tab, opened_tab

VIEWS: Final = ("videos", "handshake", "intruders", "access", "certificates")
MAX_PAGE_BYTES: Final = 150 * 1024
STEP: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(chromium: Browser, system: System, view: str, theme: Any) -> None:
    with opened_tab(chromium, system.console_url, color_scheme=theme) as tab:
        tab.go(view)
        expect(tab.page.locator("main .skeleton")).to_have_count(0)
        found = Axe().run(tab.page, options=STEP)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_scrolls_sideways(chromium: Browser, system: System, width: int) -> None:
    size = {"width": width, "height": 800}
    with opened_tab(chromium, system.console_url, viewport=size) as tab:
        for view in VIEWS:
            tab.go(view)
            expect(tab.page.locator("main .skeleton")).to_have_count(0)
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_the_page_weighs_little(chromium: Browser, system: System) -> None:
    """All that comes over the wire for the first view: every view's code is loaded with it."""
    with opened_tab(chromium, system.console_url) as tab:
        expect(tab.page.locator("#status")).to_contain_text("gateway accepts us")
        weighed = "performance.getEntriesByType('resource').map(each => each.transferSize)"
        sizes = tab.page.evaluate(f"{weighed}.filter(size => size > 0)")
    assert len(sizes) > len(VIEWS)
    assert sum(sizes) < MAX_PAGE_BYTES


def test_nothing_is_fetched_from_elsewhere(chromium: Browser, system: System) -> None:
    with opened_tab(chromium, system.console_url) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.page.reload()
        for view in VIEWS:
            tab.go(view)
        expect(tab.page.locator("#status")).to_contain_text("gateway accepts us")
    assert asked
    assert {url for url in asked if not url.startswith(f"http://localhost:{system.port}/")} == set()


def test_every_view_has_an_address_of_its_own(tab: Tab, system: System) -> None:
    for view in VIEWS:
        tab.page.goto(f"http://localhost:{system.port}/#/{view}")
        tab.page.reload()
        current = tab.page.locator("#nav a[aria-current='page']")
        expect(current).to_have_attribute("href", f"#/{view}")
        expect(tab.page).to_have_title(f"{current.inner_text()} · mTLS video queue")


def test_an_address_with_token_may_name_a_view(chromium: Browser, system: System) -> None:
    with opened_tab(chromium, f"{system.console_url}#/certificates") as tab:
        expect(tab.page.locator("h1")).to_contain_text("Certificates")
        assert "token" not in tab.page.url


def test_the_theme_that_was_chosen_stays(chromium: Browser, system: System) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with opened_tab(chromium, system.console_url, color_scheme="dark") as tab:
        dark = tab.page.evaluate(background)
        tab.page.get_by_role("button", name="Theme").click()
        light = tab.page.evaluate(background)
        assert light != dark
        tab.page.reload()
        assert tab.page.evaluate(background) == light


def test_no_markup_is_made_of_text() -> None:
    """The page is built of elements and texts, so what a peer said is never run."""
    scripts = list(FOLDER.rglob("*.js"))
    assert scripts
    for path in scripts:
        for switch in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert switch not in path.read_text(), (path, switch)
