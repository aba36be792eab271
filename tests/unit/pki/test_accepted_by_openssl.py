"""`openssl verify -x509_strict` accepts each identity for its own purpose, and for no other."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.x509.oid import ObjectIdentifier

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued, KeyType
from pki.ca_folder import write_authority
from pki.identities import CLIENT, SERVER, Identity
from pki.identity_folder import write_identity

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl program is not installed"
)

PURPOSES = {SERVER: "sslserver", CLIENT: "sslclient"}


def verify(
    folder: Path, authority: Authority, issued: Issued, purpose: ObjectIdentifier
) -> subprocess.CompletedProcess[str]:
    write_identity(folder, issued, authority.ca_pem)
    write_authority(folder, authority)
    return subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-check_ss_sig"),
            *("-purpose", PURPOSES[purpose]),
            *("-CAfile", folder / "ca-certificate.crt"),
            *("-untrusted", folder / "ca" / "1" / "issuing-certificate.crt"),
            folder / "certificate.crt",
        ],
        capture_output=True,
        text=True,
        timeout=20,
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


def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    tmp_path: Path, authority: Authority
) -> None:
    queue = identity_named("video-queue")
    accepted = authority.issue(queue, dns_names=["video-queue"])
    refused = authority.issue(queue, dns_names=["evil.test"])
    assert verify(tmp_path, authority, accepted, SERVER).returncode == 0
    result = verify(tmp_path, authority, refused, SERVER)
    assert result.returncode != 0
    assert "permitted subtree violation" in result.stderr
