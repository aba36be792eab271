"""The certificates that the examples are tried with: by hand, and with one fact changed."""

import datetime as dt
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from pki.extensions import LEAF_KEY_USAGE
from pki.pem import certificate_pem, key_pem
from pki.signing import Signer, distinguished_name, sign_certificate
from tests.examples.programs import EXAMPLES

BY_HAND: Final = EXAMPLES / "certificates" / "by_hand.sh"
CLIENT: Final = "spiffe://example.test/client"
_HOUR: Final = dt.timedelta(hours=1)


def make_by_hand(folder: Path, *arguments: str) -> Path:
    """Run by_hand.sh and return `folder`."""
    subprocess.run(["sh", BY_HAND, folder, *arguments], check=True, capture_output=True)
    return folder


def issue(
    by_hand: Path,
    name: str,
    *,
    names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(CLIENT),),
    expired: bool = False,
    subject: str = "client",
    purpose: ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Path:
    """Let the CA that was made by hand issue another certificate, into a folder of its own."""
    ca = by_hand / "ca"
    ca_key = load_pem_private_key((ca / "ca-private-key.pem").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate((ca / "ca-certificate.crt").read_bytes())
    now, key = dt.datetime.now(dt.UTC), ec.generate_private_key(ec.SECP256R1())
    leaf = sign_certificate(
        subject=distinguished_name("example.test", subject),
        key=key,
        life=(now - 2 * _HOUR, now - _HOUR if expired else now + _HOUR),
        critical=[x509.BasicConstraints(ca=False, path_length=None), LEAF_KEY_USAGE],
        others=[
            x509.ExtendedKeyUsage([purpose]),
            *([x509.SubjectAlternativeName(names)] if names else []),
        ],
        issuer=Signer(certificate, ca_key),
    )
    folder = by_hand / name
    folder.mkdir()
    shutil.copy(ca / "ca-certificate.crt", folder)
    (folder / "certificate.crt").write_bytes(certificate_pem(leaf))
    (folder / "private-key.pem").write_bytes(key_pem(key))
    return folder
