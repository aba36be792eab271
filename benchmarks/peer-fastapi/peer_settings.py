"""What both servers need: where to listen, who they are, and who is at the other end."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

TRUST_DOMAIN: Final = "spiffe://video-demo.test/"


class Identity(NamedTuple):
    """The same files that our services read."""

    key: Path
    chain: Path
    ca: Path


def read_identity(folder: str) -> Identity:
    """Return where the files of a folder are."""
    names = ("private-key.pem", "certificate.crt", "ca-certificate.crt")
    return Identity(*(Path(folder) / name for name in names))


def variable(name: str) -> str:
    """Return a variable of the environment. Raises `KeyError` if it is not set."""
    return os.environ[name]


def name_in(uris: Iterable[str]) -> str | None:
    """Return the path of the SPIFFE ID, if there is exactly one URI and it is ours."""
    match list(uris):
        case [uri] if uri.startswith(TRUST_DOMAIN):
            return uri.removeprefix(TRUST_DOMAIN)
    return None


def announce(address: str) -> None:
    """Say in the form of our services where the server listens: the benchmark waits for it."""
    line = {"event": "server.listening", "address": address}
    print(json.dumps(line), file=sys.stderr, flush=True)
