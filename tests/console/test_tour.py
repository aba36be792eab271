"""docs/console.md: each step of the tour is one thing to click, and shows what the page says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.console.system import System

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/console.md"
STEP: Final = re.compile(r"^\d+\. \*\*(.+?)\*\*: ", re.MULTILINE)
PICTURE: Final = re.compile(r"pictures/console-[\w-]+\.webp")
PLAYABLE_MILLISECONDS: Final = 120_000
MAX_PICTURE_BYTES: Final = 150 * 1024


def make_a_sample_video(page: Page, _: System) -> None:
    page.get_by_role("button", name="Make a sample video").click()
    page.wait_for_selector(".player video", timeout=PLAYABLE_MILLISECONDS)
    expect(page.locator(".hops li.accepted")).to_have_count(3)
    expect(page.locator(".hops li.plain")).to_contain_text("not encrypted")


def handshake(page: Page, _: System) -> None:
    view(page, "Handshake")
    expect(page.get_by_text("CertificateRequest").first).to_be_visible()


def certificate_verify(page: Page, _: System) -> None:
    page.get_by_role("link", name=re.compile("CertificateVerify")).last.click()
    panel = page.locator(".hs-panel")
    expect(panel).to_contain_text("Proves")
    expect(panel).to_contain_text("Without it")


def intruders(page: Page, _: System) -> None:
    view(page, "Intruders")
    expect(page.get_by_role("combobox").first).to_be_visible()


def try_them_all(page: Page, system: System) -> None:
    page.get_by_role("button", name="Try them all").click()
    button = page.get_by_role("button", name="Try them all")  # "Stop" until all are made
    expect(button).to_be_visible(timeout=PLAYABLE_MILLISECONDS)
    cells = page.locator(".at-cell").all_inner_texts()
    assert sum("expired" in cell for cell in cells) == 2  # at gateway and queue
    page.locator(".at-cell", has_text="revoked").first.click()
    expect(page.locator("#attempt")).to_contain_text("revoked")


def who_may_do_what(page: Page, _: System) -> None:
    view(page, "Who may do what")
    expect(page.get_by_role("button", name="Call everything again")).to_be_enabled()
    page.locator(".ac-cell").first.click()
    expect(page.locator(".ac-panel")).to_be_visible()


def certificates(page: Page, system: System) -> None:
    view(page, "Certificates")
    expect(page.locator(".lane .badge.accepted")).to_have_count(3)
    bars = page.locator("[data-identity='transcoder'] .bar")
    expect(bars).to_have_count(1)
    system.change_certificates("renew", "--now")
    expect(bars).to_have_count(2)
    expect(page.locator(".beats .bad")).to_have_count(0)
    system.gateway.kill()
    expect(page.locator(".failures")).to_contain_text("gateway: ")
    system.start_gateway_again()
    expect(page.locator(".lane .badge.accepted")).to_have_count(3)


def view(page: Page, title: str) -> None:
    page.locator("#nav").get_by_role("link", name=title, exact=True).click()
    expect(page.locator("#nav a[aria-current='page']")).to_have_text(title)
    expect(page.locator("main .skeleton")).to_have_count(0)


STEPS: Final[dict[str, Callable[[Page, System], None]]] = {
    "Make a sample video": make_a_sample_video,
    "Handshake": handshake,
    "CertificateVerify": certificate_verify,
    "Intruders": intruders,
    "Try them all": try_them_all,
    "Who may do what": who_may_do_what,
    "Certificates": certificates,
}


def test_every_step_of_the_tour_is_walked(system: System, page: Page) -> None:
    """The steps of the page are those of this test, in order, and each shows what it says."""
    assert STEP.findall(PAGE.read_text("utf-8")) == list(STEPS)
    for step in STEPS.values():
        step(page, system)


@pytest.mark.parametrize("page_of_docs", ["docs/console.md", "README.md"])
def test_pictures_are_there_and_small(page_of_docs: str) -> None:
    path = ROOT / page_of_docs
    pictures = PICTURE.findall(path.read_text("utf-8"))
    assert pictures
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size < MAX_PICTURE_BYTES
