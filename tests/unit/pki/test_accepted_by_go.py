"""Go's verifier accepts the certificates for TLS, and for nothing else."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from demo_identities import IDENTITIES, identity_named
from pki import authority as authority_module
from pki.authority import Authority, Issued, KeyType
from tests.needs import require_program
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import FOREIGN_NAMES, leaf_of_gateway

SOURCE = Path(__file__).with_name("verifier.go")
CODE = [ExtendedKeyUsageOID.CODE_SIGNING]


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_program("go", "golang-go")
    program = tmp_path_factory.mktemp("go") / "verifier"
    subprocess.run(["go", "build", "-o", program, SOURCE], check=True, timeout=300)
    return program


def objection(
    verifier: Path, folder: Path, ca_pem: bytes, issued: Issued, use: str, name: str = ""
) -> str:
    """Return what it objects to, "" for nothing."""
    (folder / "ca.crt").write_bytes(ca_pem)
    (folder / "chain.crt").write_bytes(issued.chain_pem)
    ended = subprocess.run(
        [verifier, folder / "ca.crt", folder / "chain.crt", name, use],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.stderr == ""
    assert (ended.returncode == 0) == (not ended.stdout)
    return ended.stdout


def test_accepts_a_server_and_a_client(
    verifier: Path, tmp_path: Path, typed_authority: Authority, key_type: KeyType
) -> None:
    ca_pem = typed_authority.ca_pem
    server = typed_authority.issue(identity_named("video-queue"), key_type=key_type)
    client = typed_authority.issue(identity_named("client/viewer"), key_type=key_type)
    assert objection(verifier, tmp_path, ca_pem, server, "server", "video-queue") == ""
    assert objection(verifier, tmp_path, ca_pem, client, "client") == ""
    assert "incompatible key usage" in objection(verifier, tmp_path, ca_pem, client, "server")


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    verifier: Path, tmp_path: Path, authority: Authority, foreign: x509.GeneralName
) -> None:
    good, bad = leaf_of_gateway(authority), leaf_of_gateway(authority, foreign)
    assert objection(verifier, tmp_path, authority.ca_pem, good, "server", "gateway") == ""
    told = objection(verifier, tmp_path, authority.ca_pem, bad, "server", "gateway")
    assert "is not authorized to sign for this name" in told


def test_refuses_code_that_the_issuing_ca_signed(
    verifier: Path, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The issuing CA of the twin may be used for anything."""
    anything = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    with monkeypatch.context() as patched:
        patched.setattr(authority_module, "CA_EXTENDED_KEY_USAGE", anything)
        other = Authority.create(IDENTITIES)
    good, bad = leaf_of_gateway(other, ekus=CODE), leaf_of_gateway(authority, ekus=CODE)
    assert objection(verifier, tmp_path, other.ca_pem, good, "code") == ""
    assert "incompatible key usage" in objection(verifier, tmp_path, authority.ca_pem, bad, "code")
