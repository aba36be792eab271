"""What the time line says of a certificate is what the renewer does."""

import datetime as dt

from console.certificates import Chronicle, renewal_due
from demo_identities import IDENTITIES, identity_named
from pki import identity_folder
from pki.authority import Authority


def test_the_mark_is_where_the_renewer_acts() -> None:
    leaf = Authority.create(IDENTITIES).issue(identity_named("gateway")).certificate
    assert renewal_due(leaf) == identity_folder.renewal_due(leaf)
    assert leaf.not_valid_before_utc < renewal_due(leaf) < leaf.not_valid_after_utc


def test_a_renewed_certificate_comes_after_the_one_before() -> None:
    authority, chronicle = Authority.create(IDENTITIES), Chronicle()
    issued = [authority.issue(identity_named("gateway")).certificate for _ in range(9)]
    for certificate in issued:
        chronicle.note(certificate, "seen")
        chronicle.note(certificate, "seen")
    (identity,) = chronicle.as_json()
    serials = [each["serial"] for each in identity["certificates"]]
    assert identity["identity"] == "spiffe://video-demo.test/gateway"
    assert serials == [f"{each.serial_number:x}" for each in issued[-6:]]  # the last few


def test_a_revoked_one_is_marked() -> None:
    authority, chronicle = Authority.create(IDENTITIES), Chronicle()
    certificate = authority.issue(identity_named("gateway")).certificate
    chronicle.note(certificate, "seen")
    assert not chronicle.as_json()[0]["certificates"][0]["revoked"]
    chronicle.revoked = frozenset({f"{certificate.serial_number:x}"})
    assert chronicle.as_json()[0]["certificates"][0]["revoked"]
    assert dt.datetime.fromisoformat(chronicle.as_json()[0]["certificates"][0]["seen_at"])
