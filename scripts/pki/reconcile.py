"""Make everything in the folders as ca/ says, and change nothing that is right.

Every command writes to ca/ what it wants, in one file, and then does this. So at whatever moment a
run is killed, the next one, of whichever command, finishes its work.
"""

import datetime as dt

from pki.authority import Authority, Issued
from pki.ca_folder import remove_issuing_ca, remove_root_key
from pki.errors import RecordFull
from pki.identities import Identity
from pki.identity_folder import trusts, write_identity, write_trust
from pki.impostors import renew_impostors
from pki.layout import CHAIN, published
from pki.ownership import fix_owners_and_modes
from pki.record import Leaf, Record, read_record, write_record
from pki.revocation_lists import read_lists, sign_lists
from pki.rollover_state import Authorities, Rollover, Stage, end_rollover, write_rollover
from pki.run import Run
from pki.signing import common_name
from pki.store import make_folder, write_atomically
from pki.survey import is_issued, survey


def reconcile(run: Run, authorities: Authorities) -> list[str]:
    """Make what is missing or no longer right; return what was changed, a line each.

    Raises `PkiError`, and `OSError` if a file cannot be written.
    """
    now = dt.datetime.now(dt.UTC)
    found = survey(run, authorities, now)
    changes = []
    if unused := _without_leaves(authorities, found.record):
        for authority in unused:
            remove_issuing_ca(run.folder, authority.generation)
            changes.append(f"ca: removed {_issuing_name(authority)}; its last leaf has expired")
        authorities = authorities.without(unused)
        found = survey(run, authorities, now)
    if made := renew_impostors(run, authorities):
        changes += made
        found = survey(run, authorities, now)
    options = run.options
    if options.again and not found.record.has_room:
        raise RecordFull
    issued = {
        identity: authorities.issuing.issue(
            identity, life=options.leaf_life, key_type=options.key_type
        )
        for identity in found.to_issue
    }
    record = found.record.with_leaves(
        Leaf.of(new.certificate, identity.name, authorities.issuing.generation)
        for identity, new in issued.items()
    )
    if record != read_record(run.folder):
        write_record(run.folder, record, owner=run.owner_of(None))
    if found.to_sign:
        end = now + options.leaf_life
        sign_lists(run.folder, authorities, record, end, owner=run.owner_of(None))
        changes.append(f"revoked.crl: signed, valid until {end:%F %T} UTC, because {found.to_sign}")
    ca_pem, crl_pem = authorities.ca_pem, read_lists(run.folder)
    # New leaves come first: the list may revoke the old ones.
    for identity, new in issued.items():
        changes.append(_issued(run, identity, new, found.to_issue[identity]))
        home, owner = run.folder / identity.name, run.owner_of(identity)
        write_identity(home, new, ca_pem, crl_pem=crl_pem, owner=owner)
    if told := give_trust(run, authorities):
        changes.append(f"{told} folders: given the present roots and revocation lists")
    _publish(run)
    changes += _record_progress(run, authorities, is_changed=bool(changes))
    if repaired := fix_owners_and_modes(run.folder, options.identities, run.ownership):
        changes.append(f"owners and modes corrected: {repaired}")
    return changes


def give_trust(run: Run, authorities: Authorities) -> int:
    """Give every identity the roots and revocation lists; return how many did not have them."""
    ca_pem, crl_pem = authorities.ca_pem, read_lists(run.folder)
    told = 0
    for identity in run.options.identities:
        home = run.folder / identity.name
        if is_issued(run, identity) and not trusts(home, ca_pem, crl_pem):
            write_trust(home, ca_pem, crl_pem, owner=run.owner_of(identity))
            told += 1
    return told


def _publish(run: Run) -> None:
    """Lay a copy of every certificate where there is no key beside it."""
    for identity in run.options.identities:
        if not is_issued(run, identity):
            continue
        content = (run.folder / identity.name / CHAIN.name).read_bytes()
        path = published(run.folder, identity)
        if not path.exists() or path.read_bytes() != content:
            make_folder(path.parent)
            write_atomically(path, content, CHAIN.mode, run.owner_of(None))


def _without_leaves(authorities: Authorities, record: Record) -> list[Authority]:
    """Return the issuing CAs that another one has replaced, and whose leaves have all expired."""
    in_use = {leaf.generation for leaf in record.leaves}
    return [each for each in authorities.issuers[:-1] if each.generation not in in_use]


def _issued(run: Run, identity: Identity, new: Issued, reason: str) -> str:
    end = f"valid until {new.certificate.not_valid_after_utc:%F %T} UTC"
    if is_issued(run, identity):
        return f"{identity.name}: issued again, {end}, because {reason}"
    return f"{identity.name}: issued, {end}"


def _issuing_name(authority: Authority) -> str:
    return common_name(authority.issuing.certificate)


def _record_progress(run: Run, authorities: Authorities, *, is_changed: bool) -> list[str]:
    """Write down that the stage of a rollover is complete, counted from the last change."""
    rollover = authorities.rollover
    if rollover is None:
        end_rollover(run.folder)  # perhaps a run was killed when all else was done
        return []
    if rollover.stage is Stage.DROP:
        old = authorities.roots[0]
        remove_root_key(run.folder, old)
        for authority in authorities.present:
            if authority.root == old:
                remove_issuing_ca(run.folder, authority.generation)
        end_rollover(run.folder)
        return [f"ca: removed {common_name(old)}; nobody trusts it any longer"]
    if is_changed or not rollover.completed:
        completed = Rollover(rollover.stage, dt.datetime.now(dt.UTC))
        write_rollover(run.folder, completed, owner=run.owner_of(None))
        return [f"ca: stage {rollover.stage} of the rollover is complete"]
    return []
