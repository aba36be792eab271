"""Revoking: no peer accepts a stolen leaf any longer, and its owner gets another one."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from pki.crl import Revoked
from pki.errors import NothingToRevoke
from pki.identities import Identities
from pki.reconcile import reconcile
from pki.record import Leaf, Record, read_record, write_record
from pki.rollover_state import Authorities
from pki.run import Options, exclusive_run


def revoke(
    folder: Path,
    options: Options,
    what: str,
    reason: x509.ReasonFlags | None = None,
    *,
    on_wait: Callable[[], object] = lambda: None,
) -> tuple[str, ...]:
    """Revoke every leaf in force of the identity `what`, or the one of that serial number (hex).

    If it is in its identity's folder, another is issued at once: the owner can continue, the thief
    cannot. Returns what was changed, a line each. Raises `PkiError`, and `OSError` if the folder
    cannot be written.
    """
    with exclusive_run(folder, options, on_wait) as run:
        now = dt.datetime.now(dt.UTC)
        authorities = Authorities.load(folder, now=now)
        record = read_record(folder).in_force(now)
        leaves = _leaves(record, what)
        if authorities is None or not leaves:
            raise NothingToRevoke(_nothing(what, options.identities))
        record = record.with_revoked(Revoked(leaf.serial, now, reason) for leaf in leaves)
        write_record(folder, record, owner=run.owner_of(None))
        revoked = [
            f"{leaf.identity}: revoked {leaf.name}, which was valid until "
            f"{leaf.not_after:%F %T} UTC"
            for leaf in leaves
        ]
        return (*revoked, *reconcile(run, authorities))


def _leaves(record: Record, what: str) -> list[Leaf]:
    """Return what is not revoked already."""
    serial = what.replace(":", "").lower().removeprefix("0x").lstrip("0")
    return [
        leaf
        for leaf in record.leaves
        if not leaf.revoked and (leaf.identity == what or leaf.name == serial)
    ]


def _nothing(what: str, identities: Identities) -> str:
    names = ", ".join(identity.name for identity in identities)
    return (
        f"{what} is neither an identity nor the serial number (hexadecimal, as in the logs and in "
        f"ca/issued.json) of a leaf that is in force and not revoked. The identities: {names}."
    )
