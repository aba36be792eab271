"""A client certificate as a browser imports it: key, leaf and CAs in one file with a password."""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    serialize_key_and_certificates,
)

from pki.errors import KeyUnreadable
from pki.identities import Identity
from pki.identity_folder import read_identity
from pki.layout import PKCS12, ROOT_CERTIFICATE
from pki.pem import parse_certificates
from pki.store import Owner, write_atomically

_PASSWORD_BYTES = 10


def write_pkcs12(folder: Path, identity: Identity, *, owner: Owner | None = None) -> str:
    """Write client.p12 into the identity's `folder` and return its new password.

    The password is made up here: macOS refuses an empty one, and one given on the command line
    stays in the shell's history. Raises `KeyUnreadable`.
    """
    held = read_identity(folder)
    if held.key is None:
        raise KeyUnreadable
    password = secrets.token_hex(_PASSWORD_BYTES)
    # Old algorithms on purpose: macOS' keychain, and so Safari and Chrome there, calls the password
    # of a file with AES and SHA-256 wrong (pyca/cryptography#7293), while every browser reads
    # these. The strength lies in the password, which has 80 random bits, and in mode 0600.
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(50_000)
        .key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - see above
        .build(password.encode())
    )
    roots = parse_certificates((folder / ROOT_CERTIFICATE.name).read_bytes())
    content = serialize_key_and_certificates(
        identity.uri.encode(), held.key, held.leaf, [*held.chain[1:], *roots], encryption
    )
    write_atomically(folder / PKCS12.name, content, PKCS12.mode, owner)
    return password
