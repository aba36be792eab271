"""The core needs neither reporting nor what reporting needs: it serves both protocols without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity

ROOT: Final = Path(__file__).resolve().parents[3]
SERVICES: Final = ROOT / "services"
PROGRAM: Final = Path(__file__).with_name("both_protocols.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority, other = Authority.create(IDENTITIES), Authority.create(IDENTITIES)
    lists = authority.crl()
    for name in ("gateway", "client/viewer", "client/uploader"):
        issued = authority.issue(identity_named(name))
        write_identity(tmp_path / name, issued, authority.ca_pem, crl_pem=lists)
    viewer = other.issue(identity_named("client/viewer"))  # like ours in all but its CA
    write_identity(
        tmp_path / "stranger", viewer, other.ca_pem + authority.ca_pem, crl_pem=other.crl() + lists
    )
    renewed = authority.issue(identity_named("gateway"))
    write_identity(tmp_path / "next", renewed, authority.ca_pem, crl_pem=lists)
    return tmp_path


def serve_both_protocols(services: Path, folder: Path, *blocked: str) -> list[str]:
    """Return what the program prints, line by line; the modules `blocked` cannot be imported."""
    block = f"import runpy, sys; sys.modules.update(dict.fromkeys({blocked!r}))"
    run = f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", f"{block}; {run}", folder],
        env={**os.environ, "PYTHONPATH": str(services)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


DENIED: Final = (
    '{"title":"Forbidden","status":403,"detail":"spiffe://video-demo.test/client/uploader may not '
    "call GET /hello. If it should, its name has to be added to the service's policy.\","
    '"reason":"not_listed"}'
)
EXPECTED: Final = [
    "http client/viewer 200 text/plain client/viewer",
    "grpc client/viewer client/viewer",
    f"http client/uploader 403 application/problem+json {DENIED}",
    "grpc client/uploader PERMISSION_DENIED",
    "http stranger refused",
    "grpc stranger UNAVAILABLE",
    "renewed 200 text/plain client/viewer",
    "refused ['http unknown_ca']",
    "denied ['http not_listed', 'grpc not_listed']",
    "imported []",
]


def test_serves_both_protocols_without_what_reporting_needs(folder: Path) -> None:
    """New files are found by time, as watchfiles is away too."""
    blocked = ("structlog", "prometheus_client", "watchfiles")
    assert serve_both_protocols(SERVICES, folder, *blocked) == EXPECTED


def test_serves_both_protocols_when_reporting_is_deleted(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(
        SERVICES / "mtls",
        tmp_path / "services/mtls",
        ignore=shutil.ignore_patterns("reporting", "__pycache__"),
    )
    assert serve_both_protocols(tmp_path / "services", folder) == EXPECTED


@pytest.mark.parametrize(
    ("blocked", "names"),
    [
        ("aiohttp", "add_mtls_port, authorize_calls, mtls_channel, peer_of"),
        ("grpc", "PEER, listening, protect"),
    ],
)
def test_one_stack_is_enough(blocked: str, names: str) -> None:
    """A process that serves gRPC alone needs no aiohttp, and the other way round."""
    code = f"import sys; sys.modules[{blocked!r}] = None; from mtls import watch_identity, {names}"
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_every_public_name_can_be_imported() -> None:
    code = "from mtls import *; import mtls; assert all(map(globals().get, mtls.__all__))"
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
