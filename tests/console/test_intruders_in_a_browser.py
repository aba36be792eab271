"""Intruders, and who may do what, as they are used: in Chromium, with the real servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.attempts import ACCEPTED, EXPECTED, SERVERS, Console, running_console
from tests.console.tab import opened_tab

WIDTHS = (360, 768, 1280)
SECONDS = 60


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("browser")) as console:
        yield console


@contextmanager
def opened(
    chromium: Browser, console: Console, view: str, *, width: int = 1280, theme: str = "light"
) -> Iterator[Page]:
    """Open the console at a view; at the end nothing may have gone wrong in the page."""
    size = {"width": width, "height": 900}
    with opened_tab(chromium, console.address, viewport=size, color_scheme=theme) as tab:
        tab.go(*view.split("/"))
        yield tab.page
        # What the browser itself says of an answer that a test has made to fail.
        assert [each for each in tab.errors if "status of 5" not in each] == []


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def try_them_all(page: Page) -> None:
    page.get_by_role("button", name="Try them all").click()
    total = len(EXPECTED) * len(SERVERS)
    expect(page.locator(".at-summary")).to_contain_text(f"All {total}", timeout=SECONDS * 1000)


def test_trying_them_all_fills_the_matrix(chromium: Browser, console: Console) -> None:
    with opened(chromium, console, "intruders") as page:
        try_them_all(page)
        expect(page.locator(".at-summary")).to_contain_text("Every one ended as it should.")
        rows = page.locator(".at-table tbody tr")
        expect(rows).to_have_count(len(EXPECTED))
        for number, ends in enumerate(EXPECTED.values()):
            for cell, (outcome, reason) in enumerate(ends):
                button = rows.nth(number).locator("button").nth(cell)
                expect(button).to_contain_text(outcome)
                expect(button).to_contain_text(reason)


@pytest.mark.parametrize("whom", SERVERS)
def test_one_attempt_is_explained_from_both_ends(
    chromium: Browser, console: Console, whom: str
) -> None:
    with opened(chromium, console, "intruders") as page:
        page.get_by_label("you are").select_option("expired")
        page.get_by_label("you attack").select_option(whom)
        page.get_by_role("button", name="Attack").click()
        columns = page.locator(".at-column")
        expect(columns).to_have_count(3)
        saw = "alert certificate_expired (45)" if whom == "gateway" else "UNAVAILABLE"
        expect(columns.nth(0)).to_contain_text(saw)
        expect(columns.nth(1)).to_contain_text("handshake.refused reason=expired")
        expect(columns.nth(1)).to_contain_text("certificate has expired")
        expect(columns.nth(2)).to_contain_text("Renew it")
        page.get_by_text("What can go wrong, entry 5").click()
        expect(columns.nth(2)).to_contain_text("docs/what-can-go-wrong.md#5-")
        assert page.url.endswith(f"#/intruders/expired/{whom}")


@pytest.mark.parametrize("who", ["not-allowed", "console"])
def test_an_address_opens_its_attempt(chromium: Browser, console: Console, who: str) -> None:
    with opened(chromium, console, f"intruders/{who}/video-queue") as page:
        outcome, reason = EXPECTED[who][1]
        expect(page.locator(".at-story")).to_contain_text(outcome)
        expect(page.locator("[aria-expanded=true]")).to_contain_text(reason)
        page.get_by_role("button", name="Close").click()
        expect(page.locator(".at-detail")).to_have_count(0)


def test_every_cell_is_there_and_one_explains_itself(chromium: Browser, console: Console) -> None:
    cell = quote("client/viewer", safe="") + "/" + quote("POST /videos", safe="")
    with opened(chromium, console, f"access/gateway/{cell}") as page:
        panel = page.locator(".ac-panel")
        expect(panel).to_contain_text("client/viewer may not call POST /videos")
        expect(panel).to_contain_text("allowed: client/uploader, console")
        expect(panel).to_contain_text("the server's answer")
        page.get_by_role("button", name="console, POST /videos").click()
        expect(panel).to_contain_text("console may call POST /videos")
        expect(panel).to_contain_text("called just now")
        page.get_by_role("button", name="console, /videoqueue.v1.VideoQueue/ClaimVideo").click()
        expect(panel).to_contain_text("console may not call ClaimVideo")
        expect(panel).to_contain_text("PERMISSION_DENIED")
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()


def test_arrow_keys_walk_through_the_matrix(chromium: Browser, console: Console) -> None:
    with opened(chromium, console, "access") as page:
        first = page.locator("#main .ac-table").first.locator("tbody button").first
        first.focus()
        expect(first).to_have_attribute("tabindex", "0")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        second = page.locator("#main .ac-table").first.locator("tbody tr").nth(1).locator("button")
        expect(second.nth(1)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(".ac-panel")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    chromium: Browser, console: Console, width: int, theme: str
) -> None:
    with opened(chromium, console, "intruders", width=width, theme=theme) as page:
        try_them_all(page)
        page.goto(f"{console.url}/#/intruders/expired/gateway")
        expect(page.locator(".at-column")).to_have_count(3)
        page.locator(".at-entry summary").click()
        assert violations(page) == []
        assert page.locator("html").evaluate("html => html.scrollWidth <= html.clientWidth")
        page.goto(f"{console.url}/#/access/gateway/console/{quote('POST /videos', safe='')}")
        expect(page.locator(".ac-panel")).to_contain_text("console may call")
        assert violations(page) == []
        assert page.locator("html").evaluate("html => html.scrollWidth <= html.clientWidth")


def test_with_the_queue_away_it_says_so_and_the_gateway_is_still_shown(
    chromium: Browser, console: Console
) -> None:
    """The last test of this file: it ends the queue, and starts another in its place."""
    console.queue.kill()
    with opened(chromium, console, "access") as page:
        error = page.locator(".state.error")
        expect(error).to_contain_text("The queue at")
        expect(error).to_contain_text("what to do")
        expect(page.locator(".ac-table")).to_have_count(1)
        expect(page.locator(".ac-never")).to_contain_text("never asked")
        page.goto(f"{console.url}/#/intruders/expired/video-queue")
        expect(page.locator(".at-detail .state.error")).to_contain_text("does not answer")
        page.goto(f"{console.url}/#/intruders/expired/gateway")
        expect(page.locator(".at-story")).to_contain_text("refused")
        with console.stack.start_queue(f"127.0.0.1:{console.queue.address.rpartition(':')[2]}"):
            page.goto(f"{console.url}/#/intruders/console/video-queue")
            expect(page.locator(".at-story")).to_contain_text(ACCEPTED)
            page.goto(f"{console.url}/#/access")
            expect(page.locator(".ac-table")).to_have_count(2)
