"""Connecting to PostgreSQL as the identity in use, by its own client library, libpq.

    files = libpq_files(identity)
    psycopg.connect(host="database", **files.value.parameters)

libpq takes certificates from files alone, which it reads at each new connection. These files are in
memory (memfd_create(2)) and hold what was checked and rehearsed, and not what lies in the folder
just now. So a new certificate is shown by the next connection; one that is open goes on with the
old one, and who holds it has to bound its age.

libpq wants a revocation list of every CA of a server's chain, the root included, or none. Ours have
the issuing CA's alone, so here as in gRPC nobody asks whether the server's certificate was revoked.
"""

import os
import weakref
from collections.abc import Mapping
from typing import Final

from mtls.identity import Identity
from mtls.identity_source import Derived, IdentitySource
from mtls.rehearsal import rehearse_client

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_MUTUAL: Final = {
    "sslmode": "verify-full",  # the server's certificate, and the name that was dialled in it
    "sslcertmode": "require",  # a server that does not ask for our certificate is refused
    "ssl_min_protocol_version": "TLSv1.3",
    "gssencmode": "disable",  # with Kerberos libpq would leave TLS out
}


class LibpqFiles:
    """The files of one identity, there for as long as this object: keep it while you connect."""

    def __init__(self, identity: Identity) -> None:
        contents = {
            "sslcert": identity.chain_pem,
            "sslkey": identity.key_pem,
            "sslrootcert": identity.ca_pem,
        }
        descriptors = {name: _file_of(name, pem) for name, pem in contents.items()}
        weakref.finalize(self, _close, tuple(descriptors.values()))
        self.parameters: Final[Mapping[str, str]] = _MUTUAL | {
            name: f"/dev/fd/{descriptor}" for name, descriptor in descriptors.items()
        }


def libpq_files(source: IdentitySource) -> Derived[LibpqFiles]:
    """Return the files of now. Raises `IdentityError` if servers would refuse the certificate."""
    source.rehearse_with(rehearse_client)
    return source.derive(LibpqFiles)


def _file_of(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)  # libpq refuses a key that others may read
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
