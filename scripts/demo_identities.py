"""The identities of this demo, for services that run as local processes: scripts/demo, the tests.

All servers share one machine there, so each has the name `localhost`; docker compose gives it to
the gateway alone.
"""

from pathlib import Path
from typing import Final

from pki.identities import Identity, load_identities

FILE: Final = Path(__file__).resolve().parent.parent / "identities.toml"
IDENTITIES: Final = load_identities(FILE).with_localhost()


def identity_named(name: str) -> Identity:
    """Return the identity of that name; `KeyError` if there is none."""
    return IDENTITIES.named(name)
