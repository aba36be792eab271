"""Chromium and Firefox accept a server's certificate once its root is imported."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from demo_identities import IDENTITIES
from pki import authority as authority_module
from pki.authority import Authority
from tests.needs import require_program
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import (
    FOREIGN_NAMES,
    HttpsServer,
    https_server,
    leaf_of_gateway,
)

# No look-ups of its own, so that all that it does is to open the page. And no question whether to
# start in safe mode, after it has been ended a few times.
QUIET_FIREFOX = """
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "");
user_pref("toolkit.startup.max_resumed_crashes", -1);
user_pref("toolkit.telemetry.enabled", false);
"""


def trust(database: Path, ca_pem: bytes) -> None:
    """Import the root as an authority that may identify web sites."""
    require_program("certutil", "libnss3-tools")
    database.mkdir(parents=True)
    root = database / "root.crt"
    root.write_bytes(ca_pem)
    store = f"sql:{database}"
    for arguments in (["-N", "--empty-password"], ["-A", "-n", "root", "-t", "C,,", "-i", root]):
        subprocess.run(["certutil", "-d", store, *arguments], check=True, timeout=SECONDS)


def chromium(folder: Path, ca_pem: bytes) -> list[str]:
    require_program("chromium", "chromium")
    trust(folder / ".pki" / "nssdb", ca_pem)
    return [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *(
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
        ),
        f"--user-data-dir={folder / 'profile'}",
    ]


def firefox(folder: Path, ca_pem: bytes) -> list[str]:
    require_program("firefox-esr", "firefox-esr")
    profile = folder / "profile"
    trust(profile, ca_pem)
    (profile / "user.js").write_text(QUIET_FIREFOX)
    return ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]


Browser = Callable[[Path, bytes], list[str]]


@contextmanager
def opened(command: list[str], folder: Path, server: HttpsServer) -> Iterator[None]:
    """Let the browser open the page, and end it."""
    process = subprocess.Popen(
        [*command, f"https://{server.address}/"],
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()


@pytest.mark.parametrize("browser", [chromium, firefox])
def test_accepts_the_gateway_and_no_name_that_the_issuing_ca_may_not_sign(
    browser: Browser, tmp_path: Path, authority: Authority
) -> None:
    command = browser(tmp_path, authority.ca_pem)
    for kind, foreign in FOREIGN_NAMES.items():
        bad = leaf_of_gateway(authority, foreign)
        with https_server(tmp_path, bad) as server, opened(command, tmp_path, server):
            assert server.outcome() != "request", kind  # an alert, or the end of the connection
        assert "request" not in server.outcomes.queue, kind
    good = leaf_of_gateway(authority)
    with https_server(tmp_path, good) as server, opened(command, tmp_path, server):
        while server.outcome() != "request":
            pass  # a connection that was made in advance


@pytest.mark.parametrize("browser", [chromium, firefox])
def test_refuses_an_issuing_ca_with_a_constraint_on_uris(
    browser: Browser, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So ours has none: the twin is ours, with the same names."""

    def with_uri(dns_names: tuple[str, ...]) -> x509.NameConstraints:
        uri = x509.UniformResourceIdentifier("video-demo.test")
        return x509.NameConstraints([*map(x509.DNSName, dns_names), uri], None)

    with monkeypatch.context() as patched:
        patched.setattr(authority_module, "name_constraints", with_uri)
        constrained = Authority.create(IDENTITIES)
    for folder, issuer in (("constrained", constrained), ("ours", authority)):
        command = browser(tmp_path / folder, issuer.ca_pem)
        leaf = leaf_of_gateway(issuer)
        with (
            https_server(tmp_path / folder, leaf) as server,
            opened(command, tmp_path / folder, server),
        ):
            if issuer is authority:
                while server.outcome() != "request":
                    pass  # a connection that was made in advance
            else:
                assert server.outcome() != "request"  # an alert, or the end of the connection
                assert "request" not in server.outcomes.queue
