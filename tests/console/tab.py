"""A window of a browser, and everything that goes wrong in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Page
from playwright.sync_api import Error as PlaywrightError

MILLISECONDS: Final = 40_000
# Chromium breaks off what is under way when an interface of the machine comes or goes, as with each
# container that other tests start.
_NETWORK_CHANGED: Final = "ERR_NETWORK_CHANGED"
_ATTEMPTS: Final = 3


@dataclass
class Tab:
    """A page, and what its console and its scripts complained of."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def go(self, *segments: str) -> None:
        """Go to a view by its address, and wait until it has drawn its heading."""
        self.page.evaluate("address => { location.hash = address }", "#/" + "/".join(segments))
        self.page.wait_for_selector(f"#nav a[aria-current][data-path='{segments[0]}']")
        self.page.wait_for_selector("main h1")

    def forget_errors(self) -> None:
        """A test that takes something away expects complaints about that."""
        self.errors.clear()


def wait_until(page: Page, condition: str) -> None:
    """Wait until an expression is true. Playwright's own way to wait needs `eval`, which the page's
    content security policy forbids."""
    page.evaluate(
        f"""async () => {{
            const end = Date.now() + {MILLISECONDS};
            while (!({condition})) {{
                if (Date.now() > end) throw new Error("waited in vain");
                await new Promise((resolve) => setTimeout(resolve, 50));
            }}
        }}"""
    )


def _load(page: Page, url: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            page.goto(url)
            page.wait_for_selector("h1")
        except PlaywrightError:
            if attempt == _ATTEMPTS:
                raise
        else:
            return


@contextmanager
def opened_tab(browser: Browser, url: str, **options: Any) -> Iterator[Tab]:
    """Open a window of its own at `url`, with its own cookies; nothing moves in it."""
    context = browser.new_context(reduced_motion="reduce", **options)
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    tab = Tab(page)

    def on_message(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and _NETWORK_CHANGED not in message.text:
            tab.errors.append(f"{message.text} {message.location.get('url', '')}")

    def on_error(error: PlaywrightError) -> None:
        tab.errors.append(str(error))

    page.on("console", on_message)
    page.on("pageerror", on_error)
    try:
        _load(page, url)
        yield tab
    finally:
        context.close()
