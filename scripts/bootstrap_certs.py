#!/usr/bin/env python3
"""Make the certificates of the demo, or renew what is about to expire.

Run it as often as you like: what is in order stays as it is.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pki.authority import DEFAULT_LEAF_DAYS
from pki.bootstrap import Options, bootstrap
from pki.errors import PkiError
from pki.identities import IDENTITIES, identity_named
from pki.show import certificates_table, files_table, folders_table

_MAX_LEAF_DAYS: Final = 89
_DEFAULT_FOLDER: Final = Path(__file__).resolve().parent.parent / "certs"

_ADVICE: Final[dict[type[OSError], str]] = {
    PermissionError: (
        "Run this as the owner of the folder, or give another one with `--folder`. In a container, "
        "`--service-owner` needs the capabilities CHOWN, DAC_OVERRIDE and FOWNER."
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    folder: Path = options.folder
    if options.show:
        print(certificates_table(folder, now=dt.datetime.now(dt.UTC)))
        return 0
    try:
        outcome = bootstrap(
            folder,
            Options(
                leaf_days=options.leaf_days,
                key_type=options.key_type,
                force=options.force,
                pkcs12=identity_named(options.pkcs12) if options.pkcs12 else None,
                service_owner=options.service_owner,
            ),
            on_wait=lambda: _complain(f"Another run is at work in {folder}; waiting for its end."),
        )
    except PkiError as error:
        return _complain(str(error))
    except OSError as error:
        advice = _ADVICE.get(type(error), "Mend that and run this again: it takes up from there.")
        return _complain(f"{error.filename or folder}: {error.strerror}. {advice}")
    print(*outcome.changes, *outcome.notes, sep="\n")
    if outcome.changes:
        print(f"\nWhat lies below {folder}:", files_table(), folders_table(), sep="\n\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=_DEFAULT_FOLDER, help="where to (default: certs/)"
    )
    parser.add_argument(
        "--leaf-days",
        type=_leaf_days,
        default=DEFAULT_LEAF_DAYS,
        metavar="DAYS",
        help="life of what is issued now, 1 to 89 days (default: %(default)s)",
    )
    parser.add_argument(
        "--key-type",
        choices=("ec", "rsa"),
        default="ec",
        help="ECDSA P-256 (default) or RSA-2048; the CA keeps its own unless --force is given",
    )
    parser.add_argument(
        "--pkcs12",
        nargs="?",
        const="client/uploader",
        choices=[identity.name for identity in IDENTITIES if not identity.is_service],
        help="also write client.p12, to import into a browser (default: of client/uploader)",
    )
    parser.add_argument(
        "--service-owner",
        type=_user_id,
        metavar="UID",
        help="as root: give the services' files to this user, the rest to the folder's owner",
    )
    parser.add_argument(
        "--force", action="store_true", help="start afresh: a new CA, and everything issued again"
    )
    parser.add_argument("--show", action="store_true", help="show what there is, change nothing")
    return parser


def _leaf_days(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MAX_LEAF_DAYS:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text} is not 1 to {_MAX_LEAF_DAYS}: a short life is what makes a stolen key worthless, "
        "since nothing here can revoke it"
    )


def _user_id(text: str) -> int:
    if text.isdecimal() and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not the number of a user")


def _complain(message: str) -> int:
    print(f"bootstrap_certs: {message}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
