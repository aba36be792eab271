"""Certificates are replaced while the page watches: it shows every change, and every failure."""

import re
from typing import Final

from playwright.sync_api import Page, expect

from tests.console.system import System
from tests.console.tab import Tab, wait_until

LANES: Final = ("request", "gateway", "video-queue")
MANY_MILLISECONDS: Final = 60_000


def serials(page: Page) -> dict[str, str]:
    """Return which certificate each server serves now, on new connections."""
    found = page.locator(".lane [data-serial]")
    found.nth(1).wait_for()
    names = ("gateway", "video-queue")
    return {
        name: found.nth(index).get_attribute("data-serial") or ""
        for index, name in enumerate(names)
    }


def watched(tab: Tab) -> Page:
    tab.go("certificates")
    expect(tab.page.locator(".lane .badge.accepted")).to_have_count(len(LANES))
    return tab.page


def bars(page: Page, identity: str) -> int:
    return page.locator(f"[data-identity='{identity}'] .bar").count()


def test_it_shows_what_is_served_and_our_own(tab: Tab, system: System) -> None:
    page = watched(tab)
    for name in ("console", "gateway", "video-queue"):
        row = page.locator(f"[data-identity='{name}']")
        expect(row).to_contain_text("valid")
        row.locator("summary").click()
        expect(row).to_contain_text("renewal due")
    assert all(re.fullmatch(r"[0-9a-f]{30,40}", serial) for serial in serials(page).values())


def test_requests_stay_green_while_all_certificates_are_renewed(tab: Tab, system: System) -> None:
    page = watched(tab)
    before, had = serials(page), {name: bars(page, name) for name in ("gateway", "console")}
    system.change_certificates("renew", "--now")
    for name, serial in before.items():
        lane = page.locator(".lane", has=page.get_by_text(name, exact=True))
        expect(lane.locator("[data-serial]")).not_to_have_attribute(
            "data-serial", serial, timeout=MANY_MILLISECONDS
        )
    for name, count in had.items():
        expect(page.locator(f"[data-identity='{name}'] .bar")).to_have_count(count + 1)
    expect(page.locator(".beats .bad")).to_have_count(0)
    expect(page.locator(".failure")).to_have_count(0)
    expect(page.locator(".beats .change")).not_to_have_count(0)


def test_requests_stay_green_while_one_is_revoked_and_the_root_is_replaced(
    tab: Tab, system: System
) -> None:
    page = watched(tab)
    system.change_certificates("revoke", "client/viewer")
    row = page.locator("[data-identity='client/viewer']")
    # All its leaves that are in force, and perhaps another test has renewed it.
    expect(row.locator(".bar.revoked")).not_to_have_count(0, timeout=MANY_MILLISECONDS)
    expect(row.locator(".bar.current:not(.revoked)")).to_have_count(1)
    system.change_certificates("rotate-ca")
    seen = page.locator(".beats .ok").count()
    # Six seconds more: by then every service has read the new roots.
    wait_until(page, f"document.querySelectorAll('.beats .ok').length >= {seen + 18}")
    expect(page.locator(".beats .bad")).to_have_count(0)
    expect(page.locator(".failure")).to_have_count(0)


def test_a_failure_is_shown_as_loudly_as_a_success(tab: Tab, system: System) -> None:
    """The twin of the two above: with the gateway gone, the same page is red, and says why."""
    page = watched(tab)
    system.gateway.kill()
    expect(page.locator(".lane .badge.refused")).to_have_count(2)  # gateway, and the request
    expect(page.locator(".failures")).to_contain_text("Connection refused")
    expect(page.locator(".failures")).to_contain_text("Start the server, or correct the port.")
    # Both at once: each second they are drawn anew.
    bad, ok = page.evaluate(
        """['.beats .bad', '.beats .ok'].map(
            each => document.querySelector(each).getBoundingClientRect().height)"""
    )
    assert bad > ok
    system.start_gateway_again()
    expect(page.locator(".lane .badge.accepted")).to_have_count(3, timeout=MANY_MILLISECONDS)
    expect(page.locator(".beats .bad").first).to_be_attached()  # what failed stays on record
    tab.forget_errors()


def test_the_commands_can_be_copied(tab: Tab, system: System) -> None:
    page = watched(tab)
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=re.compile("renew --now")).click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "docker compose run --rm certs renew --now"
