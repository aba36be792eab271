"""What is not as it should be, found without changing anything."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pki.errors import AuthorityUnusable
from pki.identities import Identity
from pki.identity_folder import Wanted, read_identity, reason_to_issue, trusts
from pki.layout import CA_FOLDER, CHAIN
from pki.record import Leaf, Record, read_record
from pki.revocation_lists import read_lists, reason_to_sign
from pki.rollover_state import Authorities
from pki.run import Run
from pki.signing import trust_domain


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is, and what has to be done about it.

    `to_issue` are the identities that need a leaf, and why. `not_permitted` need one as well, but
    have DNS names that the issuing CA may not sign.
    """

    record: Record
    to_issue: Mapping[Identity, str]
    not_permitted: tuple[Identity, ...]
    to_sign: str | None
    to_tell: tuple[Identity, ...]

    def faults(self) -> Iterator[str]:
        """Yield a line for everything that is not as it should be."""
        for identity, reason in self.to_issue.items():
            yield f"{identity.name}: has to be issued, because {reason}"
        for identity in self.not_permitted:
            yield f"{identity.name}: needs another issuing CA, which may sign its DNS names"
        if self.to_sign:
            yield f"revoked.crl: has to be signed, because {self.to_sign}"
        for identity in self.to_tell:
            yield f"{identity.name}: does not hold the present roots and revocation lists"


def survey(run: Run, authorities: Authorities, now: dt.datetime) -> Survey:
    """Examine every identity's folder and what is published to all.

    Raises `RecordUnusable`, and `AuthorityUnusable` for the CA of another trust domain.
    """
    _check_trust_domain(run, authorities)
    record = read_record(run.folder)
    due = dict(_due(run, authorities, record, now))
    permitted = authorities.issuing.permitted_dns_names
    to_issue = {each: why for each, why in due.items() if permitted.issuperset(each.dns_names)}
    in_use = [identity for identity in run.options.identities if identity not in to_issue]
    # A new record, after the old one was lost, learns which leaves are in use.
    found = (_leaf_in_use(run, authorities, identity) for identity in in_use)
    record = record.in_force(now).with_leaves(leaf for leaf in found if leaf)
    not_permitted = tuple(identity for identity in due if identity not in to_issue)
    to_sign = reason_to_sign(run.folder, authorities, record, now)
    if to_sign:
        return Survey(record, to_issue, not_permitted, to_sign, ())
    lists = read_lists(run.folder)
    to_tell = (
        identity
        for identity in in_use
        if is_issued(run, identity)
        and not trusts(run.folder / identity.name, authorities.ca_pem, lists)
    )
    return Survey(record, to_issue, not_permitted, None, tuple(to_tell))


def is_issued(run: Run, identity: Identity) -> bool:
    """Tell whether an identity has been given a certificate."""
    return (run.folder / identity.name / CHAIN.name).exists()


def _check_trust_domain(run: Run, authorities: Authorities) -> None:
    wanted, present = run.options.identities.trust_domain, trust_domain(authorities.issuing.root)
    if present != wanted:
        raise AuthorityUnusable(
            f"The identities are of the trust domain {wanted}, and {run.folder / CA_FOLDER} is the "
            f"CA of {present}. Give another folder with `--folder`, or run this with `--force`: "
            "that makes a new CA and removes this one."
        )


def _due(
    run: Run, authorities: Authorities, record: Record, now: dt.datetime
) -> Iterator[tuple[Identity, str]]:
    revoked = frozenset(leaf.serial for leaf in record.leaves if leaf.revoked)
    for identity in run.options.identities:
        wanted = Wanted(identity, authorities.issuers, run.options.key_type, now, revoked)
        reason = reason_to_issue(run.folder / identity.name, wanted)
        if reason is None and run.options.again:
            reason = "that was asked for"
        if reason:
            yield identity, reason


def _leaf_in_use(run: Run, authorities: Authorities, identity: Identity) -> Leaf | None:
    try:
        leaf = read_identity(run.folder / identity.name).leaf
    except (FileNotFoundError, ValueError):
        return None
    issuer = authorities.issuer_of(leaf)
    return Leaf.of(leaf, identity.name, issuer.generation) if issuer else None
