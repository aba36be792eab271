"""Handshakes recorded in this process, once for all tests that read them."""

import tempfile
from functools import cache
from pathlib import Path

from mtls.certificates import Role
from mtls.identity import Identity, load_identity

from demo_identities import IDENTITIES, identity_named
from doctor.recorder import record_in_memory
from doctor.recording import Recording
from pki.authority import Authority
from pki.identity_folder import write_identity

KINDS = ("1.3", "1.3 resumed", "1.2", "1.2 resumed")


@cache
def console() -> Identity:
    """An identity `console`, issued as the demo's are."""
    authority = Authority.create(IDENTITIES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "console"
        write_identity(path, authority.issue(identity_named("console")), authority.ca_pem)
        return load_identity(path, roles=frozenset({Role.CLIENT}))


@cache
def in_memory(kind: str) -> Recording:
    """A handshake of the console with a server in this process."""
    version, _, resumed = kind.partition(" ")
    return record_in_memory(console(), version, is_resumed=bool(resumed))
