#!/usr/bin/env python3
"""Make the certificates of this system, or renew what is about to expire.

Run it as often as you like: what is in order stays as it is.
"""

# Read by a Python that is too old, too, so that it can say so.
from __future__ import annotations

import signal
import sys

OLDEST_PYTHON = (3, 11)
OLDEST_CRYPTOGRAPHY = 42  # the first whose dates of certificates and lists have a time zone


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    if missing := missing_requirement():
        print(f"bootstrap_certs: {missing}", file=sys.stderr)
        return 1
    from pki.commands import run

    return run(__doc__, arguments)


def missing_requirement() -> str | None:
    """Say what has to be installed before this can run, and how; None: it can."""
    if sys.version_info < OLDEST_PYTHON:
        return (
            f"this needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer, and this is "
            f"{sys.version.split()[0]}. Use a newer one, or Docker: docker compose run --rm certs"
        )
    try:
        from cryptography import __version__ as version
    except ImportError:
        found = "it is not installed"
    else:
        if int(version.partition(".")[0]) >= OLDEST_CRYPTOGRAPHY:
            return None
        found = f"{version} is installed"
    return (
        f"this needs the package cryptography {OLDEST_CRYPTOGRAPHY} or newer, and {found}. "
        "Install it for this program alone, at the root of the repository: "
        "python3 -m venv .venv && .venv/bin/pip install -r requirements/certs.txt, "
        "and run .venv/bin/python scripts/bootstrap_certs.py. "
        "Or use Docker: docker compose run --rm certs"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end without an error when `| head` has ended
    sys.exit(main())
