"""The demo does what README.md says of it."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from local_stack import require_localhost

ROOT: Final = Path(__file__).resolve().parents[2]
KINDS: Final = (
    "no certificate",
    "another CA, same",  # the rest is on the next line: the demo is made for 80 columns
    "expired certificate",
    "not yet valid",
    "server certificate",
    "plaintext",
    "stolen key, revoked",
)


def test_the_demo_ends_well_and_shows_every_impostor_at_both_servers() -> None:
    demo = subprocess.run(
        [sys.executable, ROOT / "scripts/demo.py"],
        env={"PYTHONPATH": f"{ROOT}/services:{ROOT}/protos/gen:{ROOT}/scripts"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    assert "SHA-256 is the same" in demo.stdout
    assert "before and after, by one client: HTTP 200, 200" in demo.stdout
    for kind in KINDS:
        assert demo.stdout.count(f"  ✓ {kind} ") == 2, kind
    assert "✗" not in demo.stdout
    assert max(map(len, demo.stdout.splitlines())) <= 80
    assert "16 of 16 impostors were refused" in demo.stdout


@pytest.mark.parametrize("address", ["::1", None])
def test_it_says_so_where_localhost_is_not_what_its_certificates_say(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    require_localhost()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        if address is None:
            raise socket.gaierror
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 0, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SystemExit, match="/etc/hosts"):
        require_localhost()
