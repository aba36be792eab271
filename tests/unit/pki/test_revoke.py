"""Who is revoked counts no longer anywhere, and the rightful owner goes on with another leaf."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from pki.authority import BACKDATE, Authority
from pki.bootstrap import bootstrap
from pki.ca_folder import load_authorities
from pki.crl import Revoked, number_of, parse_crls, revoked_in
from pki.errors import NothingToRevoke, RecordFull, RecordUnusable
from pki.identity_folder import read_identity
from pki.record import MOST_LEAVES, Leaf, Record, read_record, write_record
from pki.revocation_lists import reason_to_sign
from pki.revoke import revoke
from pki.rollover_state import Authorities
from pki.run import Options

GATEWAY = identity_named("gateway")
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
STOLEN = x509.ReasonFlags.key_compromise


def serial(certs: Path, name: str = "gateway") -> int:
    return read_identity(certs / name).leaf.serial_number


def lists(certs: Path) -> list[x509.CertificateRevocationList]:
    """Return the lists in ca/, after a look whether everybody holds the same."""
    content = (certs / "ca" / "revoked.crl").read_bytes()
    for identity in IDENTITIES:
        assert (certs / identity.name / "revoked.crl").read_bytes() == content
    return parse_crls(content)


def revoked(certs: Path) -> dict[int, x509.ReasonFlags | None]:
    (crl,) = lists(certs)
    return revoked_in(crl)


def test_there_is_always_a_list_and_at_first_it_is_empty(certs: Path) -> None:
    assert revoked(certs) == {}


def test_every_leaf_of_an_identity_is_revoked_and_another_one_issued(certs: Path) -> None:
    first, probe = serial(certs), serial(certs, "probe")
    bootstrap(certs, Options(IDENTITIES, again=True))
    second, probes = serial(certs), serial(certs, "probe")
    before = number_of(lists(certs)[0])
    changes = revoke(certs, Options(IDENTITIES), "gateway", STOLEN)
    assert revoked(certs) == {first: STOLEN, second: STOLEN}
    assert number_of(lists(certs)[0]) > before
    assert serial(certs) not in {first, second}
    assert serial(certs, "probe") == probes != probe
    assert [change for change in changes if "revoked " in change] == [
        f"gateway: revoked {number:x}, which was valid until {end}"
        for number, end in zip((first, second), ends(certs), strict=False)
    ]
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def ends(certs: Path) -> list[str]:
    leaves = read_record(certs).leaves
    return [f"{leaf.not_after:%F %T} UTC" for leaf in leaves if leaf.identity == "gateway"]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda number: f"{number:x}",
        lambda number: f"{number:040X}",
        lambda number: f"0x{number:x}",
        lambda number: ":".join(f"{byte:02X}" for byte in number.to_bytes(20, "big")),
    ],
    ids=["as logged", "openssl -serial", "0x", "openssl -text"],
)
def test_one_leaf_is_revoked_by_its_serial_number(certs: Path, spelling: object) -> None:
    old = serial(certs)
    bootstrap(certs, Options(IDENTITIES, again=True))
    new = serial(certs)
    assert callable(spelling)
    revoke(certs, Options(IDENTITIES), spelling(old))
    assert revoked(certs) == {old: None}
    assert serial(certs) == new  # nobody but a thief had the old one
    revoke(certs, Options(IDENTITIES), spelling(new))
    assert revoked(certs) == {old: None, new: None}
    assert serial(certs) != new


@pytest.mark.parametrize("what", ["nobody", "", "client", "0", "f" * 40])
def test_what_is_unknown_is_said_and_nothing_changed(certs: Path, what: str) -> None:
    before = {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()}
    with pytest.raises(NothingToRevoke, match=r"^.* is neither an identity nor .*client/viewer\.$"):
        revoke(certs, Options(IDENTITIES), what)
    assert {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()} == before


def test_nobody_is_revoked_twice(certs: Path) -> None:
    old = f"{serial(certs):x}"
    revoke(certs, Options(IDENTITIES), old)
    with pytest.raises(NothingToRevoke, match="and not revoked"):
        revoke(certs, Options(IDENTITIES), old)


def test_what_has_expired_leaves_the_record_and_the_list(certs: Path) -> None:
    now, held = dt.datetime.now(dt.UTC), read_identity(certs / "gateway").leaf
    revoke(certs, Options(IDENTITIES), "gateway")
    record = read_record(certs)
    a_slow_clocks = record.in_force(held.not_valid_after_utc).leaves
    assert held.serial_number in {leaf.serial for leaf in a_slow_clocks}
    later = record.in_force(now + DAY + HOUR)
    assert later.leaves == ()
    authorities = Authorities.load(certs, now=now)
    assert authorities
    assert reason_to_sign(certs, authorities, record, now) is None
    assert reason_to_sign(certs, authorities, later, now) == "it is to hold other leaves"


def test_lists_are_signed_again_when_a_third_of_their_life_is_over(certs: Path) -> None:
    authorities = Authorities.load(certs, now=dt.datetime.now(dt.UTC))
    assert authorities
    record = read_record(certs)
    signed = lists(certs)[0].last_update_utc + BACKDATE
    not_yet = "it is not valid yet by the clock of this machine"
    for hours, reason in ((7.9, None), (8.1, "a third of its life is over"), (-1, not_yet)):
        assert reason_to_sign(certs, authorities, record, signed + hours * HOUR) == reason


def test_lists_live_as_long_as_a_leaf(tmp_path: Path) -> None:
    bootstrap(tmp_path, Options(IDENTITIES, leaf_life=9 * DAY))
    (crl,) = lists(tmp_path)
    assert crl.next_update_utc is not None
    left = crl.next_update_utc - dt.datetime.now(dt.UTC)
    assert 9 * DAY - HOUR < left < 9 * DAY


def test_a_number_is_never_lower_though_the_clock_was_set_back(certs: Path) -> None:
    (authority,) = load_authorities(certs, now=dt.datetime.now(dt.UTC))
    (certs / "ca" / "revoked.crl").write_bytes(authority.crl(number=2**150))
    revoke(certs, Options(IDENTITIES), "gateway")
    assert number_of(lists(certs)[0]) == 2**150 + 1


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"issued": [1]}', b'{"issued": [{}]}', b"\xff"]
)
def test_a_damaged_record_is_an_error_and_who_is_revoked_not_forgotten(
    certs: Path, content: bytes
) -> None:
    (certs / "ca" / "issued.json").write_bytes(content)
    before = lists(certs)
    with pytest.raises(RecordUnusable, match=r"issued\.json is damaged.*Put it back"):
        bootstrap(certs, Options(IDENTITIES))
    assert lists(certs) == before


def test_a_record_that_is_begun_anew_learns_what_is_in_use(certs: Path) -> None:
    (certs / "ca" / "issued.json").unlink()
    with pytest.raises(RecordUnusable, match=r"issued\.json is missing"):
        bootstrap(certs, Options(IDENTITIES))
    (certs / "ca" / "revoked.crl").unlink()
    bootstrap(certs, Options(IDENTITIES))
    old = serial(certs)
    revoke(certs, Options(IDENTITIES), "gateway")
    assert revoked(certs) == {old: None}


def test_the_record_says_what_was_issued_and_comes_back_as_it_was(certs: Path) -> None:
    revoke(certs, Options(IDENTITIES), "gateway", STOLEN)
    record = read_record(certs)
    assert len(record.leaves) == len(IDENTITIES) + 1
    write_record(certs, record, owner=None)
    assert read_record(certs) == record
    (line,) = [line for line in json.loads((certs / "ca" / "issued.json").read_bytes())["issued"]
               if "revoked_since" in line]  # fmt: skip
    assert line["identity"] == "gateway"
    assert line["reason"] == "keyCompromise"


def crowded(certs: Path, count: int) -> Record:
    """Return a record of so many leaves."""
    record = read_record(certs)
    template = record.leaves[0]
    missing = range(1, 1 + count - len(record.leaves))
    return record.with_leaves(replace(template, serial=number) for number in missing)


def test_a_loop_that_issues_is_stopped_while_there_is_room_for_what_is_due(certs: Path) -> None:
    write_record(certs, crowded(certs, MOST_LEAVES // 2 + 1), owner=None)
    with pytest.raises(RecordFull, match="leaves are in force already"):
        bootstrap(certs, Options(IDENTITIES, again=True))
    (certs / "gateway" / "key-pair.pem").unlink()
    bootstrap(certs, Options(IDENTITIES))
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_the_record_is_bounded_and_so_is_the_list(certs: Path, authority: Authority) -> None:
    full = crowded(certs, MOST_LEAVES)
    another = Leaf.of(authority.issue(GATEWAY).certificate, "gateway", 1)
    assert full.with_leaves(full.leaves) == full
    with pytest.raises(RecordFull):
        full.with_leaves([another])
    serials = (2**159 - leaf.serial for leaf in full.leaves)
    now = dt.datetime.now(dt.UTC)
    assert len(authority.crl(Revoked(serial, now, STOLEN) for serial in serials)) < 64 * 1024
