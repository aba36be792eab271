"""curl accepts the certificates on both sides of a real request."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from demo_identities import identity_named
from pki.authority import Authority, KeyType
from tests.needs import require_program
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import (
    FOREIGN_NAMES,
    HttpsServer,
    https_server,
    leaf_of_gateway,
)


def curl(folder: Path, server: HttpsServer, ca_pem: bytes, pair_pem: bytes) -> tuple[int, str]:
    """Return curl's exit code, and the page or the error."""
    require_program("curl", "curl")
    (folder / "ca.crt").write_bytes(ca_pem)
    (folder / "client.pem").write_bytes(pair_pem)
    ended = subprocess.run(
        [
            *("curl", "--silent", "--show-error", f"https://{server.address}/"),
            *("--cacert", folder / "ca.crt", "--cert", folder / "client.pem"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_accepts_both_sides(tmp_path: Path, typed_authority: Authority, key_type: KeyType) -> None:
    ca_pem = typed_authority.ca_pem
    gateway = typed_authority.issue(identity_named("gateway"), key_type=key_type)
    viewer = typed_authority.issue(identity_named("client/viewer"), key_type=key_type)
    with https_server(tmp_path, gateway, client_ca=ca_pem) as server:
        assert curl(tmp_path, server, ca_pem, viewer.key_pair_pem) == (0, "ok")
        assert server.outcome() == "request"


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    tmp_path: Path, authority: Authority, foreign: x509.GeneralName
) -> None:
    client = authority.issue(identity_named("client/viewer")).key_pair_pem
    for names, expected in (((), (0, "ok")), ((foreign,), (60, "subtree violation"))):
        with https_server(tmp_path, leaf_of_gateway(authority, *names)) as server:
            code, told = curl(tmp_path, server, authority.ca_pem, client)
            assert code == expected[0], told
            assert expected[1] in told
            assert (server.outcome() == "request") == (not names)
