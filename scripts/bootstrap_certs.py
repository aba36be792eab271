#!/usr/bin/env python3
"""Make the certificates of the demo, or renew what is about to expire.

Run it as often as you like: what is in order stays as it is.
"""

import argparse
import datetime as dt
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pki.arguments import parser, revocation_reason
from pki.bootstrap import bootstrap
from pki.errors import PkiError, error_message
from pki.identities import identity_named
from pki.renewer import longest_interval, renew
from pki.revoke import revoke
from pki.rollover import progress, rotate
from pki.rollover_state import Authorities, Stage
from pki.run import Options, Run, as_option
from pki.show import certificates_table, files_table, folders_table
from pki.survey import survey


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    asked = parser(__doc__).parse_args(arguments)
    if asked.show:
        print(certificates_table(asked.folder, now=dt.datetime.now(dt.UTC)))
        return 0
    options = Options(
        leaf_life=asked.leaf_life,
        key_type=asked.key_type,
        force=asked.force,
        again=asked.now,
        pkcs12=identity_named(asked.pkcs12) if asked.pkcs12 else None,
        service_owner=asked.service_owner,
    )
    try:
        return _COMMANDS[asked.command](asked, options)
    except (PkiError, OSError) as error:
        return _complain(error_message(error, asked.folder))


def _bootstrap(asked: argparse.Namespace, options: Options) -> int:
    outcome = bootstrap(asked.folder, options, on_wait=_tell_of_waiting(asked.folder))
    print(*outcome.changes, *outcome.notes, sep="\n")
    if any(change.startswith("ca: made") for change in outcome.changes):
        print(f"\nWhat lies below {asked.folder}:", files_table(), folders_table(), sep="\n\n")
    return 0


def _renew(asked: argparse.Namespace, options: Options) -> int:
    if options.again:
        return _bootstrap(asked, options)
    longest = longest_interval(options.leaf_life)
    every = asked.every or longest
    if every > longest:
        return _complain(
            f"Leaves of {as_option(options.leaf_life)} have to be looked at more often: give "
            f"`--every {as_option(longest)}` or less."
        )
    renew(asked.folder, options, every)
    return 0


def _check(asked: argparse.Namespace, options: Options) -> int:
    now = dt.datetime.now(dt.UTC)
    authorities = Authorities.load(asked.folder, now=now)
    if authorities is None:
        return _complain("There is no CA yet; run this without a command to make one.")
    faults = list(survey(Run(asked.folder, options), authorities, now).faults())
    print(*faults or ["All is in order."], sep="\n")
    return 1 if faults else 0


def _revoke(asked: argparse.Namespace, options: Options) -> int:
    reason = revocation_reason(asked.reason)
    on_wait = _tell_of_waiting(asked.folder)
    print(*revoke(asked.folder, options, asked.what, reason, on_wait=on_wait), sep="\n")
    return 0


def _rotate(asked: argparse.Namespace, options: Options) -> int:
    on_wait = _tell_of_waiting(asked.folder)
    if asked.stage:
        stage = Stage(asked.stage)
        changes = rotate(asked.folder, options, stage, asked.load_time, on_wait=on_wait)
        print(*changes, sep="\n")
    else:
        print(*progress(asked.folder, options, asked.load_time, on_wait=on_wait).lines(), sep="\n")
    return 0


_COMMANDS: Final[Mapping[str | None, Callable[[argparse.Namespace, Options], int]]] = {
    None: _bootstrap,
    "renew": _renew,
    "check": _check,
    "revoke": _revoke,
    "rotate-ca": _rotate,
}


def _tell_of_waiting(folder: Path) -> Callable[[], object]:
    return lambda: _complain(f"Another run is at work in {folder}; waiting for its end.")


def _complain(message: str) -> int:
    print(f"bootstrap_certs: {message}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # quietly, when `| head` has seen enough
    sys.exit(main())
