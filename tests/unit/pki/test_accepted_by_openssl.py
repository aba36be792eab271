"""`openssl verify -x509_strict` accepts each identity for its own purpose, and for no other."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from demo_identities import IDENTITIES
from pki import authority as authority_module
from pki.authority import Authority, Issued, KeyType
from pki.ca_folder import write_authority
from pki.identities import CLIENT, SERVER, Identity
from pki.identity_folder import write_identity
from tests.needs import require_program
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import FOREIGN_NAMES, GATEWAY, leaf_of_gateway

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
PURPOSES = {SERVER: "sslserver", CLIENT: "sslclient"}


def verify(
    folder: Path, authority: Authority, issued: Issued, purpose: ObjectIdentifier
) -> subprocess.CompletedProcess[str]:
    require_program("openssl", "openssl")
    write_identity(folder, issued, authority.ca_pem)
    write_authority(folder, authority)
    return subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-check_ss_sig"),
            *("-purpose", (PURPOSES | {EMAIL: "smimesign"})[purpose]),
            *("-CAfile", folder / "ca-certificate.crt"),
            *("-untrusted", folder / "ca" / "1" / "issuing-certificate.crt"),
            folder / "certificate.crt",
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("identity", IDENTITIES.rows, ids=lambda identity: identity.name)
@pytest.mark.parametrize("purpose", PURPOSES, ids=PURPOSES.values())
def test_accepts_an_identity_for_its_own_purpose_only(
    tmp_path: Path,
    typed_authority: Authority,
    key_type: KeyType,
    identity: Identity,
    purpose: ObjectIdentifier,
) -> None:
    issued = typed_authority.issue(identity, key_type=key_type)
    result = verify(tmp_path, typed_authority, issued, purpose)
    if purpose in identity.ekus:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode != 0
        # OpenSSL 3.0 says "unsupported", later ones "unsuitable".
        assert "certificate purpose" in result.stderr


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    tmp_path: Path, authority: Authority, foreign: x509.GeneralName
) -> None:
    accepted, refused = leaf_of_gateway(authority), leaf_of_gateway(authority, foreign)
    assert verify(tmp_path, authority, accepted, SERVER).returncode == 0
    result = verify(tmp_path, authority, refused, SERVER)
    assert result.returncode != 0
    assert "subtree violation" in result.stderr


def test_refuses_mail_that_the_issuing_ca_signed(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The issuing CA of the twin may be used for that too."""
    ekus = [*GATEWAY.ekus, EMAIL]
    with monkeypatch.context() as patched:
        patched.setattr(authority_module, "CA_EXTENDED_KEY_USAGE", x509.ExtendedKeyUsage(ekus))
        other = Authority.create(IDENTITIES)
    accepted, refused = (
        leaf_of_gateway(other, ekus=[EMAIL]),
        leaf_of_gateway(authority, ekus=[EMAIL]),
    )
    assert verify(tmp_path, other, accepted, EMAIL).returncode == 0
    result = verify(tmp_path, authority, refused, EMAIL)
    assert result.returncode != 0
    assert "certificate purpose" in result.stderr
