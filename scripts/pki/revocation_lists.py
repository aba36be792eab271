"""The file revoked.crl: a list of each CA that is trusted, one after the other."""

import datetime as dt
from pathlib import Path

from cryptography import x509

from pki.authority import BACKDATE, Authority
from pki.crl import number_of, parse_crls, revoked_in
from pki.layout import CA_FOLDER, REVOKED
from pki.record import Record
from pki.rollover_state import Authorities
from pki.store import Owner, write_atomically


def reason_to_sign(
    folder: Path, authorities: Authorities, record: Record, now: dt.datetime
) -> str | None:
    """Say why the lists in ca/ have to be signed (again); None: they are as they should be."""
    try:
        crls = parse_crls((folder / CA_FOLDER / REVOKED.name).read_bytes())
        pairs = list(zip(authorities.trusted, crls, strict=False))
        if len(crls) != len(authorities.trusted) or not all(_is_by(*pair) for pair in pairs):
            return "the CAs have changed"
        if not all(_holds(authority, crl, record) for authority, crl in pairs):
            return "it is to hold other leaves"
        if any(now < crl.last_update_utc for crl in crls):
            return "it is not valid yet by the clock of this machine"
        if any(now > _due(crl) for crl in crls):
            return "a third of its life is over"
    except FileNotFoundError:
        return "there was none"
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return "it was damaged"
    return None


def read_lists(folder: Path) -> bytes:
    """Return what lies in ca/."""
    return (folder / CA_FOLDER / REVOKED.name).read_bytes()


def sign_lists(
    folder: Path,
    authorities: Authorities,
    record: Record,
    end: dt.datetime,
    *,
    owner: Owner | None,
) -> bytes:
    """Sign a list of each CA that is trusted, until `end`; write them to ca/ and return them.

    They live as long as a leaf. If nobody renews for that long, the leaves are gone as well, so a
    list that lived longer would be of use only to somebody who holds back the newer ones.
    """
    above = _highest_number(folder)
    number = max(above + 1, int(dt.datetime.now(dt.UTC).timestamp() * 1_000_000))
    crl_pem = b"".join(
        authority.crl(record.revoked_of(authority.generation), next_update=end, number=number)
        for authority in authorities.trusted
    )
    write_atomically(folder / CA_FOLDER / REVOKED.name, crl_pem, REVOKED.mode, owner)
    return crl_pem


def _highest_number(folder: Path) -> int:
    try:
        return max((number_of(crl) for crl in parse_crls(read_lists(folder))), default=0)
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return 0


def _is_by(authority: Authority, crl: x509.CertificateRevocationList) -> bool:
    issuer = authority.issuing.certificate
    return crl.issuer == issuer.subject and crl.is_signature_valid(
        authority.issuing.key.public_key()
    )


def _holds(authority: Authority, crl: x509.CertificateRevocationList, record: Record) -> bool:
    wanted = {each.serial: each.reason for each in record.revoked_of(authority.generation)}
    return revoked_in(crl) == wanted


def _due(crl: x509.CertificateRevocationList) -> dt.datetime:
    """Return when a third of the list's life is over: two chances more before it ends."""
    begin = crl.last_update_utc + BACKDATE
    if crl.next_update_utc is None:
        raise ValueError("a list without an end")
    return begin + (crl.next_update_utc - begin) / 3
