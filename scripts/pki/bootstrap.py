"""From what lies in the folder to a whole PKI, changing nothing that is still right."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pki.authority import RESERVE, Authority
from pki.ca_folder import end_of, write_authority
from pki.errors import RootKeyAway
from pki.identities import Identity
from pki.identity_folder import read_identity, renewal_due
from pki.issuing_ca import reason_to_replace, replace_issuing_ca, replace_lost_issuing_ca
from pki.layout import CA_FOLDER, OFFLINE_FOLDER
from pki.pkcs12 import write_pkcs12
from pki.reconcile import reconcile
from pki.rollover_state import Authorities
from pki.run import Options, Run, exclusive_run
from pki.signing import common_name
from pki.store import discard, make_folder
from pki.survey import is_issued


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed, one line each (none: all was right), and what else there is to know.

    `problem` says what could not be done and what to do about it; None: everything was.
    """

    changes: tuple[str, ...]
    notes: tuple[str, ...]
    problem: str | None = None


def bootstrap(
    folder: Path,
    options: Options,
    *,
    on_wait: Callable[[], object] = lambda: None,
    on_pause: Callable[[], object] = lambda: None,
) -> Outcome:
    """Make every certificate and revocation list that is missing or no longer right.

    `on_wait` is called if another run is at work in `folder`, before waiting for its end, and
    `on_pause` before the pause of a new issuing CA. Raises `PkiError`, and `OSError` if the folder
    cannot be written.
    """
    make_folder(folder)
    with exclusive_run(folder, options, on_wait) as run:
        changes: list[str] = []
        if options.force:
            discard(folder / CA_FOLDER)
            discard(folder / OFFLINE_FOLDER)
        if options.new_issuing_ca:
            changes += replace_lost_issuing_ca(run)
        now = dt.datetime.now(dt.UTC)
        authorities = Authorities.load(folder, now=now)
        if authorities is None:
            authority = Authority.create(options.identities, key_type=options.key_type)
            write_authority(folder, authority)
            authorities = Authorities((authority,), None)
            changes.append("ca: made a root CA and an issuing CA")
        is_asked = options.new_issuing_ca and not changes
        if end_of(authorities.issuing) > now:  # else its leaves would be of no use
            changes += reconcile(run, authorities)
        reason = reason_to_replace(authorities.issuing, options.identities, now)
        problem = None
        if reason or is_asked:
            once = replace(run, options=replace(options, again=False))
            reason = reason or "that was asked for"
            try:
                authorities, made = replace_issuing_ca(once, authorities, reason, on_pause=on_pause)
                changes += made
            except RootKeyAway as error:
                problem = str(error)
        if options.pkcs12:
            changes.append(_export(run, options.pkcs12))
        notes = tuple(_notes(run, authorities, is_unchanged=not changes and not problem))
        return Outcome(tuple(changes), notes, problem)


def _export(run: Run, identity: Identity) -> str:
    owner = run.owner_of(identity)
    password = write_pkcs12(run.folder / identity.name, identity, owner=owner)
    return f"{identity.name}: client.p12 written; its password, shown only now: {password}"


def _notes(run: Run, authorities: Authorities, *, is_unchanged: bool) -> Iterator[str]:
    held = {
        identity.name: read_identity(run.folder / identity.name)
        for identity in run.options.identities
        if is_issued(run, identity)
    }
    if is_unchanged:
        due = min(renewal_due(each.leaf) for each in held.values())
        yield (
            f"Nothing to do: {len(held)} identities are in order, "
            f"and the first is due for renewal at {due:%F %T} UTC."
        )
    if closed := [name for name, each in held.items() if each.key_pem is None]:
        yield (
            "The private keys of these belong to another user, so only their certificates "
            f"were checked: {', '.join(closed)}."
        )
    end = end_of(authorities.issuing)
    if end < dt.datetime.now(dt.UTC) + RESERVE:
        yield (
            f"{common_name(authorities.issuing.root)} ends on {end:%F}, and with it every leaf: "
            "replace it in time with `rotate-ca`."
        )
