"""Everything that lies in the folders made to be as ca/ says, changing nothing that is right.

Every command writes to ca/ what it wants, in one file, and then does this. So whatever moment a
run is killed at, the next one, of whichever command, finishes its work.
"""

import datetime as dt

from pki.authority import Issued
from pki.ca_folder import remove_authority
from pki.errors import RecordFull
from pki.identities import IDENTITIES, Identity
from pki.identity_folder import trusts, write_identity, write_trust
from pki.layout import CHAIN
from pki.ownership import fix_owners_and_modes
from pki.record import Leaf, read_record, write_record
from pki.revocation_lists import read_lists, sign_lists
from pki.rollover_state import Authorities, Rollover, Stage, end_rollover, write_rollover
from pki.run import Run
from pki.signing import common_name
from pki.survey import survey


def reconcile(run: Run, authorities: Authorities) -> list[str]:
    """Make what is missing or no longer right; return what was changed, a line each.

    Raises `PkiError`, and `OSError` if a file cannot be written.
    """
    now = dt.datetime.now(dt.UTC)
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
    changes = []
    if found.to_sign:
        end = now + options.leaf_life
        sign_lists(run.folder, authorities, record, end, owner=run.owner_of(None))
        changes.append(f"revoked.crl: signed, valid until {end:%F %T} UTC, because {found.to_sign}")
    ca_pem, crl_pem = authorities.ca_pem, read_lists(run.folder)
    # Who gets a new leaf comes first: perhaps the list revokes the old one.
    for identity, new in issued.items():
        changes.append(_issued(run, identity, new, found.to_issue[identity]))
        home, owner = run.folder / identity.name, run.owner_of(identity)
        write_identity(home, new, ca_pem, crl_pem=crl_pem, owner=owner)
    told = [identity for identity in IDENTITIES if _tell(run, identity, ca_pem, crl_pem)]
    if told:
        changes.append(f"{len(told)} folders: given the roots and revocation lists of now")
    changes += _record_progress(run, authorities, is_changed=bool(changes))
    if repaired := fix_owners_and_modes(run.folder, run.ownership):
        changes.append(f"owners and modes put right: {repaired}")
    return changes


def _issued(run: Run, identity: Identity, new: Issued, reason: str) -> str:
    end = f"valid until {new.certificate.not_valid_after_utc:%F %T} UTC"
    if (run.folder / identity.name / CHAIN.name).exists():
        return f"{identity.name}: issued again, {end}, because {reason}"
    return f"{identity.name}: issued, {end}"


def _tell(run: Run, identity: Identity, ca_pem: bytes, crl_pem: bytes) -> bool:
    """Give an identity what all trust, if it does not have it; return whether that was so."""
    home = run.folder / identity.name
    if trusts(home, ca_pem, crl_pem):
        return False
    write_trust(home, ca_pem, crl_pem, owner=run.owner_of(identity))
    return True


def _record_progress(run: Run, authorities: Authorities, *, is_changed: bool) -> list[str]:
    """Write down that the stage of a rollover is complete, counted from the last change."""
    rollover = authorities.rollover
    if rollover is None:
        end_rollover(run.folder)  # perhaps a run was killed when all else was done
        return []
    if rollover.stage is Stage.DROP:
        old = authorities.present[0]
        remove_authority(run.folder, old.generation)
        end_rollover(run.folder)
        return [f"ca: {common_name(old.root)} is gone; nobody trusts it any longer"]
    if is_changed or not rollover.completed:
        completed = Rollover(rollover.stage, dt.datetime.now(dt.UTC))
        write_rollover(run.folder, completed, owner=run.owner_of(None))
        return [f"ca: stage {rollover.stage} of the rollover is complete"]
    return []
