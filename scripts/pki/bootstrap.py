"""From whatever lies in the folder to a whole PKI, changing nothing that is still right."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pki.authority import Authority
from pki.ca_folder import RESERVE, end_of, write_authority
from pki.identities import IDENTITIES, Identity
from pki.identity_folder import read_identity, renewal_due
from pki.layout import CA_FOLDER, OFFLINE_FOLDER
from pki.pkcs12 import write_pkcs12
from pki.reconcile import reconcile
from pki.rollover_state import Authorities
from pki.run import Options, Run, exclusive_run
from pki.signing import common_name
from pki.store import discard


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed, one line each (none: all was right), and what else there is to know."""

    changes: tuple[str, ...]
    notes: tuple[str, ...]


def bootstrap(
    folder: Path, options: Options, *, on_wait: Callable[[], object] = lambda: None
) -> Outcome:
    """Make every certificate and revocation list that is missing or no longer right.

    `on_wait` is called if another run is at work in `folder`, before waiting for its end.
    Raises `PkiError`, and `OSError` if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_run(folder, options, on_wait) as run:
        changes: list[str] = []
        if options.force:
            discard(folder / CA_FOLDER)
            discard(folder / OFFLINE_FOLDER)
        authorities = Authorities.load(folder, now=dt.datetime.now(dt.UTC))
        if authorities is None:
            authority = Authority.create(key_type=options.key_type)
            write_authority(folder, authority)
            authorities = Authorities((authority,), None)
            changes.append("ca: made a root CA and an issuing CA")
        changes += reconcile(run, authorities)
        if options.pkcs12:
            changes.append(_export(run, options.pkcs12))
        notes = tuple(_notes(folder, authorities, is_unchanged=not changes))
        return Outcome(tuple(changes), notes)


def _export(run: Run, identity: Identity) -> str:
    owner = run.owner_of(identity)
    password = write_pkcs12(run.folder / identity.name, identity, owner=owner)
    return f"{identity.name}: client.p12 written; its password, shown only now: {password}"


def _notes(folder: Path, authorities: Authorities, *, is_unchanged: bool) -> Iterator[str]:
    held = {identity.name: read_identity(folder / identity.name) for identity in IDENTITIES}
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
