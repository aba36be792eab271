"""A new issuing CA under the same root, which no peer notices.

Peers trust the root, so they accept the leaves of either issuing CA, once they have its revocation
list. So that list is published first, and the CA begins to sign when every service has loaded it.
The leaves of the old one are replaced when they are due; until the last of them has expired, the
revocation lists of both are published.
"""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509

from pki.authority import RESERVE, Authority
from pki.ca_folder import (
    load_authority,
    load_root,
    load_root_key,
    remove_issuing_ca,
    write_authority,
)
from pki.errors import AuthorityUnusable, RootKeyAway
from pki.extensions import CA_EXTENDED_KEY_USAGE, name_constraints
from pki.identities import Identities
from pki.layout import CA_FOLDER, OFFLINE_FOLDER, generations
from pki.reconcile import give_trust, reconcile
from pki.record import write_record
from pki.revocation_lists import sign_lists
from pki.rollover_state import Authorities
from pki.run import Options, Run, as_option
from pki.signing import Signer, common_name
from pki.survey import survey


def reason_to_replace(authority: Authority, identities: Identities, now: dt.datetime) -> str | None:
    """Say why another issuing CA is needed under the same root; None: this one can go on."""
    permitted = authority.permitted_dns_names
    if missing := sorted(set(identities.dns_names) - permitted):
        return f"the present one may not sign {', '.join(missing)}"
    issuing = authority.issuing.certificate
    if not _holds(issuing, name_constraints(sorted(permitted)), CA_EXTENDED_KEY_USAGE):
        return "the present one was made by an older version of this program"
    end = issuing.not_valid_after_utc
    if end < now + RESERVE and end < authority.root.not_valid_after_utc:
        return f"the present one ends on {end:%F}"
    return None


def replace_issuing_ca(
    run: Run, authorities: Authorities, reason: str, *, on_pause: Callable[[], object]
) -> tuple[Authorities, list[str]]:
    """Make a new issuing CA; return the CAs that there are now, and what was changed.

    If leaves are in use, `on_pause` is called before the pause in which every service loads the
    revocation list. A run that is killed by then has changed nothing that matters. Raises
    `RootKeyAway`, `PkiError`, and `OSError`.
    """
    new = _make(run, authorities.issuing.root, reason, authorities.next_generation)
    both = replace(authorities, present=(*authorities.present, new))
    now = dt.datetime.now(dt.UTC)
    record = survey(run, authorities, now).record
    owner = run.owner_of(None)
    write_record(run.folder, record, owner=owner)
    sign_lists(run.folder, both, record, now + run.options.leaf_life, owner=owner)
    give_trust(run, both)
    if record.leaves and run.options.load_time:
        on_pause()
        time.sleep(run.options.load_time.total_seconds())
    write_authority(run.folder, new)
    return both, [_made(new, reason), *reconcile(run, both)]


def pause_message(options: Options) -> str:
    """Say what the pause is for."""
    return (
        f"The new issuing CA signs in {as_option(options.load_time)}, when every service has "
        "loaded its revocation list."
    )


def replace_lost_issuing_ca(run: Run) -> list[str]:
    """Replace an issuing CA that cannot be used by a new one; return what was changed.

    Nobody can sign the revocation list of the lost one any longer, so `reconcile` then issues all
    its leaves again at once. Raises `PkiError`, and `OSError`.
    """
    changes = []
    now = dt.datetime.now(dt.UTC)
    found = generations(run.folder / CA_FOLDER)
    for generation in found:
        try:
            load_authority(run.folder, generation, now=now)
        except AuthorityUnusable:
            reason = f"ca/{generation} cannot be used"
            new = _make(run, load_root(run.folder, generation), reason, found[-1] + 1)
            write_authority(run.folder, new)
            remove_issuing_ca(run.folder, generation)
            found.append(new.generation)
            changes.append(_made(new, reason))
    return changes


def _make(run: Run, root: x509.Certificate, reason: str, generation: int) -> Authority:
    root_key = load_root_key(run.folder, root)
    if root_key is None:
        raise RootKeyAway(
            f"A new issuing CA is needed, because {reason}, and the key of {common_name(root)} is "
            f"not in {run.folder / OFFLINE_FOLDER}. Put that folder back, run this again, and move "
            "it away again. In docker compose: docker compose run --rm certs"
        )
    return Authority.below(Signer(root, root_key), run.options.identities, generation=generation)


def _made(new: Authority, reason: str) -> str:
    return f"ca: made {common_name(new.issuing.certificate)}, because {reason}"


def _holds(certificate: x509.Certificate, *wanted: x509.ExtensionType) -> bool:
    values = [extension.value for extension in certificate.extensions]
    return all(each in values for each in wanted)
