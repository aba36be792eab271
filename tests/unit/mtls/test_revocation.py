"""Revocation lists as they lie in a folder, and what they say of a peer."""

import datetime as dt
from pathlib import Path

from mtls.certificates import Role, certificate_id_of
from mtls.identity import IdentityError, load_identity
from mtls.peer import NoLongerValid, Peer
from mtls.refusals import Reason
from mtls.revocation import RevocationError, Revocations
from mtls.spiffe import SpiffeId

import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.crl import Revoked
from pki.identity_folder import write_identity
from tests.unit.mtls.peers import source_with

GATEWAY = identity_named("gateway")
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


def peer_with(certificate: x509.Certificate) -> Peer:
    return Peer(
        SpiffeId.parse(GATEWAY.uri),
        certificate_id_of(certificate),
        certificate.not_valid_after_utc.timestamp(),
    )


def test_knows_the_certificates_on_all_lists(authority: Authority) -> None:
    other = Authority.create(IDENTITIES)
    mine, theirs, good = (ca.issue(GATEWAY).certificate for ca in (authority, other, authority))
    revocations = Revocations.parse(
        authority.crl([Revoked(mine.serial_number)]) + other.crl([Revoked(theirs.serial_number)])
    )
    assert certificate_id_of(mine) in revocations.certificates
    assert certificate_id_of(theirs) in revocations.certificates
    assert certificate_id_of(good) not in revocations.certificates


def test_lasts_as_long_as_the_list_that_ends_first(authority: Authority) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    lists = [authority.crl(next_update=now + hours * HOUR) for hours in (3, 1, 2)]
    assert Revocations.parse(b"".join(lists)).next_update == now + HOUR


@pytest.mark.parametrize("content", [b"", b"no list", b"-----END X509 CRL-----"])
def test_refuses_what_is_no_list(content: bytes) -> None:
    with pytest.raises(RevocationError):
        Revocations.parse(content)


def test_refuses_a_list_that_is_cut_off(authority: Authority, tmp_path: Path) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY), authority.ca_pem)
    (tmp_path / "revoked.crl").write_bytes(authority.crl()[:-40])
    with pytest.raises(IdentityError, match=r"revoked\.crl holds no"):
        load_identity(tmp_path, roles=frozenset(Role))


def test_refuses_a_list_that_is_out_of_date(authority: Authority, tmp_path: Path) -> None:
    stale = authority.crl(next_update=dt.datetime.now(dt.UTC) - HOUR)
    write_identity(tmp_path, authority.issue(GATEWAY), authority.ca_pem, crl_pem=stale)
    with pytest.raises(IdentityError, match="a newer list was due at"):
        load_identity(tmp_path, roles=frozenset(Role))


def test_a_certificate_is_valid_until_its_end(authority: Authority) -> None:
    peer, identity = peer_with(authority.issue(GATEWAY).certificate), source_with().current
    peer.check_still_valid(identity, now=peer.expires_at)
    with pytest.raises(NoLongerValid, match="has expired") as caught:
        peer.check_still_valid(identity, now=peer.expires_at + 1)
    assert caught.value.reason == Reason.EXPIRED


def test_a_certificate_is_valid_until_it_is_on_a_list(authority: Authority) -> None:
    lost, twin = (authority.issue(GATEWAY).certificate for _ in range(2))
    identity = source_with(Revocations.parse(authority.crl([Revoked(lost.serial_number)]))).current
    peer_with(twin).check_still_valid(identity)
    with pytest.raises(NoLongerValid, match="was revoked") as caught:
        peer_with(lost).check_still_valid(identity)
    assert caught.value.reason == Reason.REVOKED


def test_a_serial_number_is_one_issuers_own(authority: Authority) -> None:
    mine = authority.issue(GATEWAY).certificate
    stranger = Revocations.parse(authority.crl([Revoked(mine.serial_number)]))
    peer = peer_with(mine)
    theirs = Peer(
        peer.spiffe_id, peer.certificate_id._replace(issuer=b"another CA"), peer.expires_at
    )
    theirs.check_still_valid(source_with(stranger).current)


def test_lists_that_are_out_of_date_let_nobody_in(authority: Authority) -> None:
    peer = peer_with(authority.issue(GATEWAY).certificate)
    end = dt.datetime.now(dt.UTC) + HOUR
    identity = source_with(Revocations.parse(authority.crl(next_update=end))).current
    peer.check_still_valid(identity, now=end.timestamp() - 1)
    with pytest.raises(NoLongerValid, match="lists are out of date") as caught:
        peer.check_still_valid(identity, now=end.timestamp() + 1)
    assert caught.value.reason == Reason.NO_REVOCATION_LIST
