"""Takes the pictures of the console: a system is started, used a little, and looked at."""

import argparse
import base64
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from bootstrap_certs import main as bootstrap_certs
from local_stack import ROOT, opening, require_localhost, running_stack
from sample_video import make_sample_video

FOLDER: Final = ROOT / "docs" / "pictures"
_THEMES: Final = {"light": "", "dark": "-dark"}
_WIDTH, _HEIGHT = 1200, 860
_MORE: Final = 240  # for the time line of all identities
_QUALITY: Final = 0.86
_MILLISECONDS: Final = 60_000
# Playwright writes PNG; the browser itself turns it into WebP, a third of the size.
_TO_WEBP: Final = """async ([png, quality]) => {
    const blob = await (await fetch(`data:image/png;base64,${png}`)).blob();
    const image = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").drawImage(image, 0, 0);
    const webp = await canvas.convertToBlob({type: "image/webp", quality});
    const bytes = new Uint8Array(await webp.arrayBuffer());
    return btoa(Array.from(bytes, (each) => String.fromCharCode(each)).join(""));
}"""


@contextmanager
def running_console(folder: Path) -> Iterator[tuple[str, Path]]:
    """Start everything; yield the address to open, and the folder of the certificates."""
    with (
        running_stack(folder, impostors=True) as (stack, queue, gateway),
        stack.start_transcoder(queue.address),
        stack.start_console(gateway.address, queue.address) as console,
    ):
        yield opening(console), stack.certs


def show_videos(page: Page, video: Path) -> None:
    """Upload a video, and let the player show it."""
    page.set_input_files("#file", video)
    page.wait_for_selector(".player video", timeout=_MILLISECONDS)
    page.evaluate("document.querySelector('video').currentTime = 1.4")
    expect(page.locator("article.video img")).to_be_visible()


def show_handshake(page: Page) -> None:
    """Open the message with which the client proves that it has its key."""
    _go(page, "handshake")
    page.get_by_role("link", name=re.compile("CertificateVerify")).last.click()


def show_intruders(page: Page) -> None:
    """Make every attempt."""
    _go(page, "intruders")
    page.get_by_role("button", name="Try them all").click()
    expect(page.get_by_role("button", name="Try them all")).to_be_visible(timeout=_MILLISECONDS)


def show_access(page: Page) -> None:
    """Call everything."""
    _go(page, "access")
    expect(page.get_by_role("button", name="Call everything again")).to_be_enabled()


def show_certificates(page: Page, certs: Path) -> None:
    """Renew them all while the page watches."""
    _go(page, "certificates")
    beats = page.locator(".beats .ok")
    expect(beats.nth(30)).to_be_attached()
    bootstrap_certs(["--folder", str(certs), "--localhost", "renew", "--now"])
    expect(beats.nth(75)).to_be_attached()


def _go(page: Page, view: str) -> None:
    page.evaluate("address => { location.hash = address }", f"#/{view}")
    expect(page.locator(f"#nav a[href='#/{view}']")).to_have_attribute("aria-current", "page")
    expect(page.locator("main .skeleton")).to_have_count(0)


def take(page: Page, tool: Page, name: str) -> None:
    """Write the picture of what the page shows, in both themes."""
    page.evaluate("scrollTo(0, 0)")
    for theme, suffix in _THEMES.items():
        page.emulate_media(color_scheme="light" if theme == "light" else "dark")
        png = base64.b64encode(page.screenshot(animations="disabled")).decode()
        webp = cast("str", tool.evaluate(_TO_WEBP, [png, _QUALITY]))
        path = FOLDER / f"console-{name}{suffix}.webp"
        path.write_bytes(base64.b64decode(webp))
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def take_all(browser: Browser, address: str, certs: Path, video: Path) -> None:
    """Go through the views, and take a picture of each."""
    size = ViewportSize(width=_WIDTH, height=_HEIGHT)
    context = browser.new_context(viewport=size, reduced_motion="reduce")
    page, tool = context.new_page(), browser.new_page()
    page.goto(address)
    show_videos(page, video)
    take(page, tool, "videos")
    for name, show in (
        ("handshake", show_handshake),
        ("intruders", show_intruders),
        ("access", show_access),
    ):
        show(page)
        take(page, tool, name)
    page.set_viewport_size(ViewportSize(width=_WIDTH, height=_HEIGHT + _MORE))
    show_certificates(page, certs)
    take(page, tool, "certificates")


def main() -> int:
    """Take all pictures; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/console_screenshots", description=__doc__)
    parser.add_argument("--browser", default="/usr/bin/chromium", help="the program of Chromium")
    options = parser.parse_args()
    require_localhost()
    expect.set_options(timeout=_MILLISECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="console-") as name,
        running_console(Path(name)) as (address, certs),
        sync_playwright() as playwright,
    ):
        video = Path(name) / "By the sea.mp4"
        make_sample_video(video, seconds=4, width=1280, height=720)
        browser = playwright.chromium.launch(
            executable_path=options.browser, args=["--no-sandbox", "--disable-gpu"]
        )
        take_all(browser, address, certs, video)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
