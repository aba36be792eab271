"""docs/handshake.html: made of a recorded run, true to its bytes, and in need of nothing else."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from console.handshake_page import page_of
from doctor.picture import picture
from doctor.recording import from_json
from doctor.records import records_of
from doctor.watch import ContentType, Direction
from illustrated_handshake import PAGE, RECORDING, kept, record_gateway
from tests.console.system import System
from tests.console.tab import opened_tab

ADDRESS: Final = PAGE.as_uri()


def test_the_page_is_made_of_the_recording_that_is_kept() -> None:
    """If this fails after a change of the page: ./scripts/illustrated_handshake --again"""
    assert PAGE.read_text("utf-8") == page_of(kept())


def test_what_is_kept_has_the_form_of_a_handshake_made_now(system: System) -> None:
    """Sizes of signatures and all random bytes differ from run to run; nothing else does."""
    now = picture(record_gateway(system.stack, system.gateway.address))
    assert form(now) == form(picture(kept()))


def form(shown: dict[str, Any]) -> dict[str, Any]:
    said = [
        (each["step"], each["sender"], each["name"], each["is_encrypted"], each["proves"])
        for each in shown["messages"]
        if each["name"] not in {"ChangeCipherSpec", "Alert"}
    ]
    return {
        "messages": [each for each, _ in groupby(said)],  # an answer may come in several pieces
        "certificates": [
            (each["sender"], each["subject"], tuple(each["usage"]))
            for each in shown["certificates"]
        ],
        "secrets": sorted(shown["secrets"]),
        "outcome": shown["outcome"],
    }


def test_the_encrypted_records_that_are_kept_hold_the_messages_that_are_shown() -> None:
    seen = kept().attempt
    records = records_of(seen.flights, seen.secrets)
    assert sum(record.is_encrypted for record in records) >= 10
    for direction in Direction:
        for kind in (ContentType.HANDSHAKE, ContentType.DATA):
            wanted = (direction, kind)
            opened = [
                record.plain or b""
                for record in records
                if (record.direction, record.content_type) == wanted
            ]
            said = [m.body for m in seen.messages if (m.direction, m.content_type) == wanted]
            assert b"".join(opened) == b"".join(said)
            assert said


def test_no_private_key_is_kept() -> None:
    for path in (PAGE, RECORDING):
        assert "PRIVATE KEY" not in path.read_text("utf-8")


def test_a_browser_checks_all_of_it_from_disk(chromium: Browser) -> None:
    """WebCrypto opens each record again, and verifies signatures and Finished messages."""
    with opened_tab(chromium, ADDRESS) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.page.get_by_role("button", name="Check it here").click()
        findings = tab.page.locator("#findings li")
        expect(findings).to_have_count(5)
        assert all(text.startswith("✓") for text in findings.all_inner_texts())
        assert "10 of 10" in findings.all_inner_texts()[0]
        assert asked == []
    assert tab.errors == []


def test_a_changed_byte_is_found(chromium: Browser, tmp_path: Path) -> None:
    """The twin: one byte of the last record that the client sent."""
    content = kept().to_json()
    flight = content["flights"][-2]
    assert flight["direction"] == "sent"
    flight["hex"] = flight["hex"][:-2] + f"{int(flight['hex'][-2:], 16) ^ 1:02x}"
    path = tmp_path / "changed.html"
    path.write_text(page_of(from_json(content)), "utf-8")
    with opened_tab(chromium, path.as_uri()) as tab:
        tab.page.get_by_role("button", name="Check it here").click()
        expect(tab.page.locator("#findings li")).to_have_count(5)
        assert tab.page.locator("#findings li.bad").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, theme: Any) -> None:
    with opened_tab(chromium, ADDRESS, color_scheme=theme) as tab:
        found = Axe().run(tab.page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_scrolls_sideways(chromium: Browser, width: int) -> None:
    with opened_tab(chromium, ADDRESS, viewport={"width": width, "height": 800}) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_is_shown_as_text(chromium: Browser, tmp_path: Path) -> None:
    """A name that would end the script element, and start another."""
    hostile = "</script><script>document.title='owned'</script><!--"
    image = "<img src=x onerror=\"document.title='owned'\">"
    changed = replace(kept(), client=hostile, server=image)
    path = tmp_path / "hostile.html"
    path.write_text(page_of(changed), "utf-8")
    with opened_tab(chromium, path.as_uri()) as tab:
        expect(tab.page.locator(".hs-end")).to_contain_text(hostile)
        expect(tab.page.locator(".hs-end")).to_contain_text("<img src=x")
        assert tab.page.title() != "owned"
        assert tab.page.locator("img").count() == 0
        # Were markup let in after all, the page's own policy would not run it.
        tab.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')"
        )
        tab.page.wait_for_timeout(200)
        assert tab.page.evaluate("window.ran") is None
