"""Certificates that must be refused: one of each kind, to be tried.

`bootstrap_certs.py --impostors` makes a file of each below impostors/, for the console alone. They
are harmless by what they are, and not by where they lie: what our issuing CA has signed here names
`impostors/<kind>`, which no policy knows, or has no SPIFFE ID of our trust domain, and it has no
host name of a server. What bears an honest name is signed by a key that nobody trusts.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from cryptography import x509

from pki.authority import BACKDATE, NEW_KEY, Authority, Issued
from pki.crl import Revoked
from pki.extensions import LEAF_KEY_USAGE, extended_key_usage, subject_alternative_name
from pki.identities import CLIENT, SERVER, Identities, Identity
from pki.identity_folder import renewal_due
from pki.layout import IMPOSTORS_FOLDER, KEY_PAIR
from pki.pem import certificate_pem, key_pem, parse_certificates
from pki.record import Leaf, read_record, write_record
from pki.rollover_state import Authorities
from pki.run import Run
from pki.signing import distinguished_name, is_issued_by, sign_certificate
from pki.store import make_folder, write_atomically

_HOUR: Final = dt.timedelta(hours=1)
_ALLOWED_NOTHING: Final = "not-allowed"
_REVOKED: Final = "revoked"

Maker = Callable[[Authority, Identities, Identity], Issued]


def _another_ca(_ours: Authority, identities: Identities, identity: Identity) -> Issued:
    domain = f"not-{identities.trust_domain}"
    stranger = replace(identity, trust_domain=domain)
    return Authority.create(Identities(domain, (stranger,))).issue(stranger)


def _same_names(_ours: Authority, identities: Identities, identity: Identity) -> Issued:
    return Authority.create(identities).issue(identity)


def _self_signed(_ours: Authority, _identities: Identities, identity: Identity) -> Issued:
    now, key = dt.datetime.now(dt.UTC), NEW_KEY["ec"]()
    certificate = sign_certificate(
        subject=distinguished_name(identity.trust_domain, identity.name),
        key=key,
        life=(now - BACKDATE, now + _HOUR),
        critical=[x509.BasicConstraints(ca=False, path_length=None), LEAF_KEY_USAGE],
        others=[
            *extended_key_usage(identity.ekus),
            *subject_alternative_name(uris=[identity.uri], dns_names=[]),
        ],
    )
    return Issued(certificate, certificate_pem(certificate), key_pem(key))


def _expired(ours: Authority, _identities: Identities, identity: Identity) -> Issued:
    end = dt.datetime.now(dt.UTC) - _HOUR
    return ours.issue(identity, not_before=end - _HOUR, not_after=end)


def _not_yet_valid(
    ours: Authority, _identities: Identities, identity: Identity, wait: dt.timedelta = _HOUR
) -> Issued:
    begin = dt.datetime.now(dt.UTC) + wait
    return ours.issue(identity, not_before=begin, not_after=begin + _HOUR)


def _issued(**different: tuple[object, ...]) -> Maker:
    """Return a maker of a leaf of our CA that differs from the identity's in these arguments."""
    return lambda ours, _identities, identity: ours.issue(identity, **different)  # type: ignore[arg-type]


def _foreign_domain(ours: Authority, _identities: Identities, identity: Identity) -> Issued:
    return ours.issue(identity, uris=[f"spiffe://not-{identity.trust_domain}/{identity.name}"])


def _two_names(ours: Authority, _identities: Identities, identity: Identity) -> Issued:
    return ours.issue(identity, uris=[identity.uri, f"{identity.uri}-too"])


MAKERS: Final[Mapping[str, Maker]] = {
    "self-signed": _self_signed,
    "another-ca": _another_ca,
    "same-names": _same_names,
    "expired": _expired,
    "not-yet-valid": _not_yet_valid,
    "server-only": _issued(ekus=(SERVER,)),
    "any-purpose": _issued(ekus=()),
    "foreign-host": _issued(dns_names=("evil.test",)),
    "foreign-domain": _foreign_domain,
    "common-name": _issued(uris=(), dns_names=()),
    "two-names": _two_names,
    _REVOKED: _issued(),
    _ALLOWED_NOTHING: _issued(),
}
"""How each kind is made for an identity: it differs from the honest certificate in one fact."""

# These bear an honest name: nobody trusts who signed them, or nobody reads the name.
_PRETENDERS: Final = frozenset({"self-signed", "another-ca", "same-names", "common-name"})


def renew_impostors(run: Run, authorities: Authorities) -> list[str]:
    """Make all of them if one is missing or the honest ones among them are due; say so in a line.

    The record is told of them, and that one is revoked; the revocation lists are not signed yet.
    """
    if not run.options.impostors or _are_in_order(run, authorities.issuing):
        return []
    issuing, identities = authorities.issuing, run.options.identities
    made = {kind: _make(kind, issuing, run) for kind in MAKERS}
    leaves = [
        Leaf.of(new.certificate, f"{IMPOSTORS_FOLDER}/{kind}", issuing.generation)
        for kind, new in made.items()
        if is_issued_by(new.certificate, issuing.issuing.certificate)
    ]
    record = read_record(run.folder).in_force(dt.datetime.now(dt.UTC)).with_leaves(leaves)
    record = record.with_revoked([Revoked(made[_REVOKED].certificate.serial_number)])
    write_record(run.folder, record, owner=run.owner_of(None))
    folder = run.folder / IMPOSTORS_FOLDER
    make_folder(folder)
    owner = run.owner_of(_named(_ALLOWED_NOTHING, identities))
    for kind, new in made.items():
        write_atomically(folder / f"{kind}.pem", new.key_pair_pem, KEY_PAIR.mode, owner)
    return [f"{IMPOSTORS_FOLDER}: made {len(made)} certificates that must be refused"]


def _named(kind: str, identities: Identities) -> Identity:
    """Return whom a certificate of this kind names."""
    if kind in _PRETENDERS:
        return (identities.persons or identities.rows)[0]
    purpose = "is refused, to show how"
    return Identity(identities.trust_domain, f"{IMPOSTORS_FOLDER}/{kind}", (CLIENT,), purpose)


def _make(kind: str, issuing: Authority, run: Run) -> Issued:
    make, identities = MAKERS[kind], run.options.identities
    if kind == "not-yet-valid":  # nor at the end of the others' lives
        make = partial(_not_yet_valid, wait=run.options.leaf_life + _HOUR)
    return make(issuing, identities, _named(kind, identities))


def _are_in_order(run: Run, issuing: Authority) -> bool:
    owner = run.owner_of(_named(_ALLOWED_NOTHING, run.options.identities))
    paths = {kind: run.folder / IMPOSTORS_FOLDER / f"{kind}.pem" for kind in MAKERS}
    try:
        if owner and any(path.stat().st_uid != owner.uid for path in paths.values()):
            return False
        leaves = {kind: parse_certificates(path.read_bytes())[0] for kind, path in paths.items()}
    except PermissionError:
        return True  # another user's: its owner can tell, we cannot
    except (FileNotFoundError, ValueError):
        return False
    leaf, now = leaves[_ALLOWED_NOTHING], dt.datetime.now(dt.UTC)
    return is_issued_by(leaf, issuing.issuing.certificate) and now < renewal_due(leaf)
