"""The view "A handshake, as it happened", as it is used: in Chromium, with the real servers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.attempts import Console, running_console
from tests.console.tab import Tab, opened_tab

FRIEND: Final = "gateway.console.tls13"
EXPIRED: Final = "gateway.expired.tls13"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("view")) as console:
        yield console


@pytest.fixture
def view(chromium: Browser, console: Console) -> Iterator[Tab]:
    """A window at the view; nothing may go wrong in it."""
    with opened_tab(chromium, console.address) as tab:
        tab.go("handshake")
        expect(drawn(tab.page)).not_to_have_count(0)
        yield tab
    assert tab.errors == []


def drawn(page: Page) -> Any:
    return page.locator(".hs .hs-message")


def panel(page: Page) -> Any:
    return page.locator(".hs-panel")


def test_a_handshake_is_made_and_drawn_along_the_seven_steps(view: Tab) -> None:
    page = view.page
    expect(page.locator(".hs-head h2")).to_have_count(7)
    expect(page.locator(".hs-verdict")).to_contain_text("✓ Accepted · TLS 1.3")
    names = [text.strip() for text in page.locator(".hs-name").all_text_contents()]
    assert names[:2] == ["ClientHello", "ServerHello"]
    assert names.count("Certificate") == names.count("CertificateVerify") == 2
    sealed = page.locator(".hs-message.encrypted .hs-name").all_text_contents()
    assert not {"ClientHello", "ServerHello"} & set(sealed)
    assert {"Certificate", "CertificateRequest", "Finished"} <= set(sealed)
    expect(page.locator(".hs-card")).to_have_count(4)


def test_a_message_opens_with_what_it_proves_and_every_byte(view: Tab) -> None:
    page = view.page
    page.locator(".hs-message.from-client", has_text="CertificateVerify").click()
    expect(panel(page).locator("h2")).to_have_text("CertificateVerify (client)")
    expect(panel(page)).to_contain_text("Proves that the client holds the private key")
    expect(panel(page)).to_contain_text("Without it a copied certificate")
    expect(panel(page)).to_contain_text("TLS 1.3, client CertificateVerify")
    panel(page).get_by_text("Every byte, named").click()
    expect(panel(page).locator(".hs-part").first).to_contain_text("0f")
    panel(page).get_by_text("On the wire").click()
    expect(panel(page)).to_contain_text("Opened with CLIENT_HANDSHAKE_TRAFFIC_SECRET")


def test_the_address_names_the_message_and_opens_it_again(view: Tab) -> None:
    page = view.page
    page.locator(".hs-message", has_text="CertificateRequest").click()
    expect(page).to_have_url(re.compile(rf"#/handshake/{re.escape(FRIEND)}/\d+$"))
    address = page.url
    page.reload()
    expect(panel(page).locator("h2")).to_have_text("CertificateRequest")
    page.go_back()
    page.goto(address)
    expect(page.locator(".hs-message[aria-current]")).to_contain_text("CertificateRequest")


def test_the_keyboard_alone_walks_through_it(view: Tab) -> None:
    page = view.page
    count = drawn(page).count()
    page.locator(".hs-message").first.focus()
    seen = []
    for _ in range(count):
        page.keyboard.press("ArrowDown")
        seen.append(panel(page).locator("h2").inner_text())
        assert page.evaluate("document.activeElement.classList.contains('hs-message')")
    assert seen[0] == "ClientHello"
    assert seen[-1] in {"Data (server)", "Alert (server)"}  # its close_notify, if it came along
    assert len(page.url) > len("#/handshake")
    page.keyboard.press("ArrowDown")
    assert panel(page).locator("h2").inner_text() == seen[-1]
    page.keyboard.press("ArrowUp")
    assert panel(page).locator("h2").inner_text() == seen[-2]
    page.keyboard.press("Escape")
    expect(page.locator(".hs-message[aria-current]")).to_have_count(0)


def test_a_refusal_beside_its_twin(view: Tab) -> None:
    page = view.page
    view.go("handshake", f"{FRIEND}~{EXPIRED}")
    verdicts = page.locator(".hs-verdict")
    expect(verdicts).to_have_count(2)
    expect(verdicts.nth(0)).to_contain_text("✓ Accepted")
    expect(verdicts.nth(1)).to_contain_text("✗ Refused by the server at step 5")
    expect(verdicts.nth(1)).to_contain_text("certificate_expired (45)")
    failure = page.locator(".hs-message.failure")
    expect(failure).to_have_count(1)
    failure.click()
    expect(panel(page).locator("h2")).to_have_text("Alert (server)")
    expect(page).to_have_url(re.compile(r"/2\.\d+$"))
    expect(panel(page).get_by_role("link", name="5. The client's certificate")).to_have_attribute(
        "href", "#/intruders/expired/gateway"
    )


def test_two_versions_side_by_side(view: Tab) -> None:
    page = view.page
    view.go("handshake", "memory.console.tls13~memory.console.tls12")
    expect(page.locator(".hs-which")).to_have_text(["TLS 1.3", "TLS 1.2"])
    expect(page.locator(".hs-note")).to_contain_text("runs both ends of these itself")
    only = page.locator(".hs-message", has_text="only here").locator(".hs-name").all_text_contents()
    assert {"EncryptedExtensions", "ServerKeyExchange", "ClientKeyExchange"} <= set(only)


def test_chosen_by_hand(view: Tab) -> None:
    page = view.page
    page.locator("select[name=client]").select_option("no-certificate")
    expect(page.locator(".hs-verdict")).to_contain_text("alert certificate_required (116)")
    page.locator("select[name=server]").select_option("memory")
    expect(page.locator(".hs-verdict")).to_contain_text("✓ Accepted")
    page.locator("select[name=session]").select_option("tls12-resumed")
    expect(page.locator(".hs-verdict")).to_contain_text("TLS 1.2, resumed")
    expect(page.locator("select[name=client]")).to_be_disabled()
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".hs-verdict")).to_contain_text("TLS 1.2, resumed")


def test_saved_and_opened_again(view: Tab, tmp_path: Path) -> None:
    page, saved = view.page, tmp_path / "handshake.json"
    before = page.locator(".hs-meta").all_text_contents()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save", exact=True).click()
    assert re.fullmatch(
        r"handshake-console-gateway-[\dTZ-]+\.json", download.value.suggested_filename
    )
    download.value.save_as(saved)
    page.locator("select[name=server]").select_option("video-queue")
    expect(page.locator(".hs-ends")).to_contain_text("video-queue")
    page.locator("input[type=file]").set_input_files(saved)
    expect(page.locator(".hs-lead")).to_contain_text("Opened from a file")
    assert page.locator(".hs-meta").all_text_contents() == before
    drawn(page).first.click()
    expect(page).to_have_url(re.compile(r"#/handshake/file/1$"))


def test_a_hostile_file_is_shown_as_text(view: Tab, tmp_path: Path, console: Console) -> None:
    wanted = {"server": "gateway", "client": "console", "session": "tls13"}
    content = console.post("/api/handshake", wanted)[1]["recording"]
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    content |= {"client": hostile, "server": "<script>document.title='owned'</script>"}
    content["messages"][0]["name"] = hostile
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps(content))
    page = view.page
    page.locator("input[type=file]").set_input_files(path)
    expect(page.locator(".hs-ends")).to_contain_text(hostile)
    expect(page.locator(".hs-ends")).to_contain_text("<script>document.title")
    drawn(page).first.click()
    expect(panel(page).locator("h2")).to_have_text("ClientHello")
    assert page.locator("main img, main script").count() == 0
    assert page.title() != "owned"


@pytest.mark.parametrize("text", ["not JSON", '{"format": "mtls-handshake/1"}', "[]"])
def test_a_file_that_is_none_says_what_to_do(view: Tab, tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    view.page.locator("input[type=file]").set_input_files(path)
    error = view.page.locator(".state.error")
    expect(error).to_contain_text("Open a file that this page")
    expect(error.locator("h2")).not_to_be_empty()
    view.forget_errors()  # the browser notes that the answer was 400


def test_exported_as_a_page_that_works_by_itself(
    view: Tab, chromium: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "handshake.html"
    with view.page.expect_download() as download:
        view.page.get_by_role("button", name="Export").click()
    download.value.save_as(path)
    with opened_tab(chromium, path.as_uri()) as tab:
        tab.page.get_by_role("button", name="Check it here").click()
        expect(tab.page.locator("#findings li.ok")).to_have_count(5)
    assert tab.errors == []


def test_a_queue_that_is_away(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running_console(tmp_path_factory.mktemp("away")) as other,
        opened_tab(chromium, other.address) as tab,
    ):
        other.queue.kill()
        tab.go("handshake", "video-queue.console.tls13")
        error = tab.page.locator(".state.error")
        expect(error).to_contain_text("The video-queue does not answer")
        expect(error).to_contain_text("docker compose up -d video-queue")
        with other.stack.start_queue(other.queue.address.replace("localhost", "127.0.0.1")):
            error.get_by_role("button", name="Try again").click()
            expect(tab.page.locator(".hs-verdict")).to_contain_text("✓ Accepted")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    chromium: Browser, console: Console, width: int, theme: Any
) -> None:
    size = {"width": width, "height": 800}
    with opened_tab(chromium, console.address, viewport=size, color_scheme=theme) as tab:
        for runs in ([FRIEND], [FRIEND, EXPIRED]):
            tab.go("handshake", "~".join(runs), "10")
            expect(tab.page.locator(".hs-verdict")).to_have_count(len(runs))
            expect(tab.page.locator(".hs-message[aria-current]")).to_have_count(1)
            found = Axe().run(tab.page)
            assert found.violations_count == 0, found.generate_report()
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width


def test_at_360_pixels_the_message_is_a_sheet_from_below(
    chromium: Browser, console: Console
) -> None:
    with opened_tab(chromium, console.address, viewport={"width": 360, "height": 780}) as tab:
        tab.go("handshake", FRIEND, "10")
        expect(tab.page.locator(".hs-message[aria-current]")).to_have_count(1)
        box = panel(tab.page).bounding_box()
        assert box["y"] + box["height"] == pytest.approx(780, abs=2)
        assert box["height"] <= 780 * 0.53
        chosen = tab.page.locator(".hs-message[aria-current]").bounding_box()
        assert chosen is not None
        assert chosen["y"] + chosen["height"] <= box["y"] + 1
        panel(tab.page).get_by_role("link", name="Close").click()
        expect(tab.page.locator(".has-open-message")).to_have_count(0)
