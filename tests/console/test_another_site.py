"""A page of another origin, in the very browser that has the cookie, tries all that a page can."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect

from tests.console.system import System
from tests.console.tab import opened_tab

ATTACK: Final = """
async function attempt(name, act) {
    try { return [name, await act()]; } catch (error) { return [name, "failed"]; }
}
async base => Object.fromEntries(await Promise.all([
    attempt("fetch", async () =>
        (await fetch(`${base}/api/videos`, {credentials: "include"})).status),
    attempt("blind", async () =>
        (await fetch(`${base}/api/videos`, {credentials: "include", mode: "no-cors"})).type),
    attempt("delete", async () =>
        (await fetch(`${base}/api/videos/x`, {method: "DELETE", credentials: "include"})).status),
    attempt("post", async () => (await fetch(`${base}/api/videos`, {
        method: "POST", credentials: "include", mode: "no-cors", body: new FormData()})).type),
    attempt("script", () => load("script", `${base}/app.js`)),
    attempt("image", () => load("img", `${base}/icon.svg`)),
    attempt("events", () => new Promise((resolve, reject) => {
        const source = new EventSource(`${base}/api/certificates/events`, {withCredentials: true});
        source.onopen = () => resolve("open");
        source.onerror = () => { source.close(); reject(); };
    })),
    attempt("frame", () => new Promise(resolve => {
        const frame = document.createElement("iframe");
        frame.onload = () => {
            try { resolve(frame.contentDocument.title); } catch { resolve("blocked"); }
        };
        frame.src = base;
        document.body.append(frame);
    })),
]))
"""
LOAD: Final = """
globalThis.load = (tag, src) => new Promise((resolve, reject) => {
    const element = document.createElement(tag);
    element.onload = () => resolve("loaded");
    element.onerror = reject;
    element.src = src;
    document.body.append(element);
});
globalThis.attempt = async (name, act) => {
    try { return [name, await act()]; } catch (error) { return [name, "failed"]; }
};
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """A server of another program on this machine; returns its port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


# localhost, with another port, is the same site: there SameSite=Strict does not keep the cookie.
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_of_another_origin_gets_nothing(
    chromium: Browser, system: System, elsewhere: int, host: str
) -> None:
    base = f"http://localhost:{system.port}"
    with opened_tab(chromium, system.console_url) as tab:
        expect(tab.page.locator("#status")).to_contain_text("gateway accepts us")
        own = attempts(tab.page, base)  # the twin: a page of ours, in the same window
        assert {name: own[name] for name in ("fetch", "delete", "image", "events")} == {
            "fetch": 200,
            "delete": 404,
            "image": "loaded",
            "events": "open",
        }
        tab.page.goto(f"http://{host}:{elsewhere}/")
        since = system.gateway.log.position()
        found = attempts(tab.page, base)
        assert found == {
            "fetch": "failed",
            "blind": "failed",
            "delete": "failed",
            "post": "failed",
            "script": "failed",
            "image": "failed",
            "events": "failed",
            "frame": "blocked",
        }
        assert not [e for e in system.gateway.log.events(since) if "POST" in str(e)]


def attempts(page: Any, base: str) -> dict[str, Any]:
    page.evaluate(LOAD)
    script = ATTACK.partition("async base")[2]
    return dict(page.evaluate(f"async base{script}", base))
