"""From whatever lies in the folder to a whole PKI, changing nothing that is still right."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pki.authority import DEFAULT_LEAF_DAYS, Authority, KeyType
from pki.ca_folder import load_authority, write_authority
from pki.identities import IDENTITIES, Identity
from pki.identity_folder import (
    Wanted,
    read_identity,
    reason_to_issue,
    renewal_due,
    write_identity,
)
from pki.layout import CHAIN
from pki.ownership import Ownership, settle
from pki.pkcs12 import write_pkcs12
from pki.store import locked, remove_unfinished


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can ask for; the defaults are those of its options."""

    leaf_days: int = DEFAULT_LEAF_DAYS
    key_type: KeyType = "ec"
    force: bool = False
    pkcs12: Identity | None = None
    service_owner: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed, one line each (none: all was right), and what else there is to know."""

    changes: tuple[str, ...]
    notes: tuple[str, ...]


def bootstrap(
    folder: Path, options: Options, *, on_wait: Callable[[], object] = lambda: None
) -> Outcome:
    """Make every certificate that is missing or no longer right.

    `on_wait` is called if another run is at work in `folder`, before waiting for its end.
    Raises `PkiError`, and `OSError` if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ownership = None
    if options.service_owner is not None:
        ownership = Ownership.under(folder, options.service_owner)
    with locked(folder, on_wait):
        for path in (folder, *(folder / identity.name for identity in IDENTITIES)):
            remove_unfinished(path)
        changes: list[str] = []
        authority = None if options.force else load_authority(folder, now=dt.datetime.now(dt.UTC))
        if authority is None:
            authority = Authority.create(key_type=options.key_type)
            write_authority(folder, authority)
            changes.append("ca: made a root CA and an issuing CA")
        for identity in IDENTITIES:
            changes += _renew(folder, identity, authority, options, ownership)
        if options.pkcs12:
            changes.append(_export(folder, options.pkcs12, ownership))
        if repaired := settle(folder, ownership):
            changes.append(f"owners and modes put right: {repaired}")
        return Outcome(tuple(changes), tuple(_notes(folder, is_unchanged=not changes)))


def _renew(
    folder: Path,
    identity: Identity,
    authority: Authority,
    options: Options,
    ownership: Ownership | None,
) -> list[str]:
    home = folder / identity.name
    is_new = not (home / CHAIN.name).exists()
    reason = reason_to_issue(
        home, Wanted(identity, authority, options.key_type, dt.datetime.now(dt.UTC))
    )
    if reason is None:
        return []
    issued = authority.issue(identity, days=options.leaf_days, key_type=options.key_type)
    owner = ownership.of(identity) if ownership else None
    write_identity(home, issued, authority.ca_pem, owner=owner)
    end = issued.certificate.not_valid_after_utc
    if is_new:
        return [f"{identity.name}: issued, valid until {end:%F}"]
    return [f"{identity.name}: issued again, valid until {end:%F}, because {reason}"]


def _export(folder: Path, identity: Identity, ownership: Ownership | None) -> str:
    owner = ownership.of(identity) if ownership else None
    password = write_pkcs12(folder / identity.name, identity, owner=owner)
    return f"{identity.name}: client.p12 written; its password, shown only now: {password}"


def _notes(folder: Path, *, is_unchanged: bool) -> list[str]:
    held = {identity.name: read_identity(folder / identity.name) for identity in IDENTITIES}
    notes = []
    if is_unchanged:
        due = min(renewal_due(each.leaf) for each in held.values())
        notes.append(
            f"Nothing to do: {len(held)} identities are in order, "
            f"and the first is due for renewal on {due:%F}."
        )
    if closed := [name for name, each in held.items() if each.key_pem is None]:
        notes.append(
            "The private keys of these belong to another user, so only their certificates "
            f"were checked: {', '.join(closed)}."
        )
    return notes
