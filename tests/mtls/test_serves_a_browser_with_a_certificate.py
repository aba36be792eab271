"""Chromium with `client.p12` imported, as certs/README.md says, reaches a page of the gateway."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Error, sync_playwright

from demo_identities import identity_named
from local_stack import Service, Stack
from pki.pkcs12 import write_pkcs12
from tests.needs import require_program

Running = tuple[Stack, Service, Service]

SECONDS: Final = 60
UPLOADER: Final = "client/uploader"
# The alert, or the end of the connection that follows at once: whichever Chromium sees first.
REFUSED: Final = re.compile(
    "ERR_BAD_SSL_CLIENT_AUTH_CERT|ERR_SOCKET_NOT_CONNECTED|ERR_CONNECTION_(CLOSED|RESET)"
)


class Browser:
    """Chromium with a home of its own, in which the root is imported as an authority."""

    def __init__(self, home: Path, stack: Stack) -> None:
        require_program("chromium", "chromium")
        require_program("certutil", "libnss3-tools")
        self.home, self.database = home, home / ".pki" / "nssdb"
        self.database.mkdir(parents=True)
        root = stack.certs / UPLOADER / "ca-certificate.crt"
        self._nss("certutil", "-N", "--empty-password")
        self._nss("certutil", "-A", "-n", "root", "-t", "C,,", "-i", root)

    def _nss(self, program: str, *arguments: object) -> None:
        command = [program, "-d", f"sql:{self.database}", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)

    def import_client(self, stack: Stack) -> None:
        """Import `client.p12` with its password."""
        folder = self.home / "uploader"
        shutil.copytree(stack.certs / UPLOADER, folder)
        password = write_pkcs12(folder, identity_named(UPLOADER))
        self._nss("pk12util", "-i", folder / "client.p12", "-W", password, "-K", "")

    def open(self, url: str) -> str:
        """Return what the browser shows of a page, or the error that it has for it."""
        self._choose_at(url)
        with sync_playwright() as playwright:
            context = playwright.chromium.launch_persistent_context(
                self.home / "profile",
                executable_path=shutil.which("chromium"),
                timeout=SECONDS * 1000,
                env={"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
                args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            )
            try:
                page = context.new_page()
                page.goto(url, timeout=SECONDS * 1000)
                return page.inner_text("body")
            except Error as error:
                return error.message
            finally:
                context.close()

    def _choose_at(self, url: str) -> None:
        """Answer the question which certificate to show: there is nobody to click."""
        folder = self.home / "profile" / "Default"
        folder.mkdir(parents=True, exist_ok=True)
        origin = "/".join(url.split("/")[:3])
        choice: dict[str, Any] = {"setting": {"filters": [{}]}}
        exceptions = {"auto_select_certificate": {f"{origin},*": choice}}
        preferences = {"profile": {"content_settings": {"exceptions": exceptions}}}
        (folder / "Preferences").write_text(json.dumps(preferences))


def test_with_it_and_not_without_it(running: Running, tmp_path: Path) -> None:
    stack, _, gateway = running
    url = f"https://{gateway.address}/videos"
    browser = Browser(tmp_path, stack)

    since = gateway.log.position()
    assert REFUSED.search(browser.open(url))
    refused = gateway.log.wait_for(lambda e: e["event"] == "handshake.refused", since=since)
    assert refused["reason"] == "no_certificate"
    assert [e for e in gateway.log.events(since) if e["event"].startswith("call.")] == []

    shutil.rmtree(tmp_path / "profile")
    browser.import_client(stack)
    since = gateway.log.position()
    assert '{"videos":' in browser.open(url)
    events = {(e["event"], e.get("reason")) for e in gateway.log.events(since)}
    assert not {event for event, _ in events if event.startswith(("handshake.", "call."))}
