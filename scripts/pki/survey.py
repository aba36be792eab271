"""What is not as it should be, found without changing anything."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pki.identities import IDENTITIES, Identity
from pki.identity_folder import Wanted, read_identity, reason_to_issue, trusts
from pki.record import Leaf, Record, read_record
from pki.revocation_lists import read_lists, reason_to_sign
from pki.rollover_state import Authorities
from pki.run import Run


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is, and what has to be done about it."""

    authorities: Authorities
    record: Record
    to_issue: Mapping[Identity, str]
    to_sign: str | None
    to_tell: tuple[Identity, ...]

    def faults(self) -> Iterator[str]:
        """Yield a line for everything that is not as it should be."""
        for identity, reason in self.to_issue.items():
            yield f"{identity.name}: has to be issued, because {reason}"
        if self.to_sign:
            yield f"revoked.crl: has to be signed, because {self.to_sign}"
        for identity in self.to_tell:
            yield f"{identity.name}: does not hold the roots and lists of now"


def survey(run: Run, authorities: Authorities, now: dt.datetime) -> Survey:
    """Look at every identity's folder and at what is published to all. Raises `RecordUnusable`."""
    record = read_record(run.folder)
    to_issue = dict(_to_issue(run, authorities, record, now))
    in_order = [identity for identity in IDENTITIES if identity not in to_issue]
    # A record that was begun anew learns what is in use.
    record = record.in_force(now).with_leaves(
        Leaf.of(
            read_identity(run.folder / identity.name).leaf,
            identity.name,
            authorities.issuing.generation,
        )
        for identity in in_order
    )
    to_sign = reason_to_sign(run.folder, authorities, record, now)
    if to_sign:
        return Survey(authorities, record, to_issue, to_sign, ())
    lists = read_lists(run.folder)
    strangers = (
        identity
        for identity in in_order
        if not trusts(run.folder / identity.name, authorities.ca_pem, lists)
    )
    return Survey(authorities, record, to_issue, None, tuple(strangers))


def _to_issue(
    run: Run, authorities: Authorities, record: Record, now: dt.datetime
) -> Iterator[tuple[Identity, str]]:
    revoked = frozenset(leaf.serial for leaf in record.leaves if leaf.revoked)
    for identity in IDENTITIES:
        wanted = Wanted(identity, authorities.issuing, run.options.key_type, now, revoked)
        reason = reason_to_issue(run.folder / identity.name, wanted)
        if reason is None and run.options.again:
            reason = "that was asked for"
        if reason:
            yield identity, reason
