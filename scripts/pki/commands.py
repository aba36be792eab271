"""The commands of bootstrap_certs.py: each does one thing, and prints what it did."""

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pki.arguments import parser, revocation_reason
from pki.bootstrap import bootstrap
from pki.errors import NotAPerson, PkiError, error_message
from pki.identities import Identities, Identity, load_identities
from pki.issuing_ca import pause_message
from pki.renewer import longest_interval, renew
from pki.revoke import revoke
from pki.rollover import progress, rotate
from pki.rollover_state import Authorities, Stage
from pki.run import Options, Run, as_option
from pki.show import certificates_table, files_table, folders_table
from pki.survey import survey


def run(description: str | None, arguments: Sequence[str] | None) -> int:
    """Run the command line; return the exit code."""
    asked = parser(description).parse_args(arguments)
    try:
        return _show(asked) if asked.show else _COMMANDS[asked.command](asked)
    except (PkiError, OSError) as error:
        return _complain(error_message(error, asked.folder))


def _show(asked: argparse.Namespace) -> int:
    now = dt.datetime.now(dt.UTC)
    print(certificates_table(asked.folder, _identities(asked), now=now))
    return 0


def _bootstrap(asked: argparse.Namespace) -> int:
    options = _options(asked)
    outcome = bootstrap(
        asked.folder,
        options,
        on_wait=_tell_of_waiting(asked.folder),
        on_pause=lambda: _tell(pause_message(options)),
    )
    for line in (*outcome.changes, *outcome.notes):
        print(line)
    if any(change.startswith("ca: made a root") for change in outcome.changes):
        tables = files_table(), folders_table(options.identities)
        print(f"\nWhat lies below {asked.folder}:", *tables, sep="\n\n")
    return _complain(outcome.problem) if outcome.problem else 0


def _renew(asked: argparse.Namespace) -> int:
    if asked.now:
        return _bootstrap(asked)
    longest = longest_interval(asked.leaf_life)
    every = asked.every or longest
    if every > longest:
        return _complain(
            f"Leaves of {as_option(asked.leaf_life)} have to be checked more often: give "
            f"`--every {as_option(longest)}` or less."
        )
    renew(asked.folder, lambda: _options(asked), every)
    return 0


def _check(asked: argparse.Namespace) -> int:
    now = dt.datetime.now(dt.UTC)
    authorities = Authorities.load(asked.folder, now=now)
    if authorities is None:
        return _complain("There is no CA yet; run this without a command to make one.")
    faults = list(survey(Run(asked.folder, _options(asked)), authorities, now).faults())
    print(*faults or ["All is in order."], sep="\n")
    return 1 if faults else 0


def _revoke(asked: argparse.Namespace) -> int:
    reason = revocation_reason(asked.reason)
    on_wait = _tell_of_waiting(asked.folder)
    print(*revoke(asked.folder, _options(asked), asked.what, reason, on_wait=on_wait), sep="\n")
    return 0


def _rotate(asked: argparse.Namespace) -> int:
    options, on_wait = _options(asked), _tell_of_waiting(asked.folder)
    if asked.stage:
        print(*rotate(asked.folder, options, Stage(asked.stage), on_wait=on_wait), sep="\n")
    else:
        print(*progress(asked.folder, options, on_wait=on_wait).lines(), sep="\n")
    return 0


_COMMANDS: Final[Mapping[str | None, Callable[[argparse.Namespace], int]]] = {
    None: _bootstrap,
    "renew": _renew,
    "check": _check,
    "revoke": _revoke,
    "rotate-ca": _rotate,
}


def _options(asked: argparse.Namespace) -> Options:
    identities = _identities(asked)
    return Options(
        identities,
        leaf_life=asked.leaf_life,
        key_type=asked.key_type,
        force=asked.force,
        again=asked.now,
        new_issuing_ca=asked.new_issuing_ca,
        pkcs12=None if asked.pkcs12 is None else _person(identities, asked.pkcs12),
        service_owner=asked.service_owner,
        load_time=asked.load_time,
        impostors=asked.impostors,
    )


def _identities(asked: argparse.Namespace) -> Identities:
    identities = load_identities(asked.identities)
    return identities.with_localhost() if asked.localhost else identities


def _person(identities: Identities, name: str) -> Identity:
    """Return the person of that name; "" is the first that there is."""
    for identity in identities.persons:
        if name in {"", identity.name}:
            return identity
    persons = ", ".join(identity.name for identity in identities.persons) or "none"
    raise NotAPerson(
        f"client.p12 is for a person's identity{f', and {name} is none' if name else ''}. "
        f"The identities with `person = true`: {persons}."
    )


def _tell_of_waiting(folder: Path) -> Callable[[], object]:
    return lambda: _tell(f"Another run holds {folder}; waiting for its end.")


def _complain(message: str) -> int:
    _tell(message)
    return 1


def _tell(message: str) -> None:
    print(f"bootstrap_certs: {message}", file=sys.stderr, flush=True)
