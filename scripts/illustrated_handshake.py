"""Every byte of a mutual TLS handshake, as one page: docs/handshake.html.

The handshake is one of this system: the real gateway is started with new certificates, and the
identity `console` calls it. What was recorded is kept beside the page, in docs/handshake.json, with
the secrets of that one conversation, so that the page can be made again from it, byte by byte.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

from console.handshake_page import page_of
from doctor.calls import Protocol
from doctor.connection import parse_target
from doctor.recorder import record
from doctor.recording import Recording, from_json
from local_stack import Stack, require_localhost, running_stack

ROOT: Final = Path(__file__).resolve().parent.parent
RECORDING: Final = ROOT / "docs/handshake.json"
PAGE: Final = ROOT / "docs/handshake.html"
_SECONDS: Final = 10


def main() -> None:
    """Record a handshake, unless told to use the one that is kept, and write the page."""
    parser = argparse.ArgumentParser(description="Write docs/handshake.html.")
    parser.add_argument("--again", action="store_true", help="from docs/handshake.json as it is")
    if not parser.parse_args().again:
        require_localhost()
        with (
            tempfile.TemporaryDirectory() as folder,
            running_stack(Path(folder)) as (stack, _, gateway),
        ):
            record_gateway(stack, gateway.address)  # the first one finds everything cold
            recording = record_gateway(stack, gateway.address)
        text = json.dumps(recording.to_json(), indent=1)
        RECORDING.write_text(text + "\n", "utf-8")
    PAGE.write_text(page_of(kept()), "utf-8")


def kept() -> Recording:
    """Return the recording in docs/."""
    return from_json(json.loads(RECORDING.read_text("utf-8")))


def record_gateway(stack: Stack, address: str) -> Recording:
    """Record how `console` asks the gateway whether it is well."""
    identity = load_identity(stack.certs / "console", roles=frozenset({Role.CLIENT}))
    return record(
        parse_target(address),
        client_context(identity),
        server="gateway",
        protocol=Protocol.HTTP,
        path="/healthz",
        timeout=_SECONDS,
    )


if __name__ == "__main__":
    main()
