"""Revocation lists as they lie in a folder, and what they say of a peer."""

import base64
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mtls.certificates import CertificateId, Role, certificate_id_of
from mtls.identity import IdentityError, load_identity
from mtls.peer import NoLongerValid, Peer, _peer_from_pem
from mtls.refusals import Reason
from mtls.rehearsal import rehearse_http_server
from mtls.revocation import RevocationError, Revocations
from mtls.spiffe import SpiffeId

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

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


def without_next_update(pem: bytes) -> bytes:
    """Take out of a list when the next one is due: the signature is not looked at here."""
    crl = x509.load_pem_x509_crl(pem)
    assert crl.next_update_utc
    due = b"\x17\x0d" + f"{crl.next_update_utc:%y%m%d%H%M%SZ}".encode()  # UTCTime, 13 bytes
    der = crl.public_bytes(Encoding.DER)
    assert der.count(due) == 1

    def begin_of(at: int) -> int:  # of a sequence's content (X.690, section 8.1.3)
        return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)

    def sequence(content: bytes) -> bytes:
        length = len(content).to_bytes(1 if len(content) < 256 else 2)  # of the lists here: > 127
        return bytes([0x30, 0x80 | len(length)]) + length + content

    signed_at = begin_of(0)
    signed = crl.tbs_certlist_bytes
    rest = der[signed_at + len(signed) :]
    shorter = sequence(signed[begin_of(signed_at) - signed_at :].replace(due, b""))
    encoded = base64.encodebytes(sequence(shorter + rest))
    return b"-----BEGIN X509 CRL-----\n%b-----END X509 CRL-----\n" % encoded


def test_refuses_a_list_without_an_end(authority: Authority) -> None:
    """RFC 5280, section 5.1.2.5, requires one; the twin is the list that it was made of."""
    with_end = authority.crl()
    Revocations.parse(with_end)
    endless = without_next_update(with_end)
    assert x509.load_pem_x509_crl(endless).next_update_utc is None
    for lists in (endless, with_end + endless):
        with pytest.raises(RevocationError, match="with a next update"):
            Revocations.parse(lists)


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
    mine, other = authority.issue(GATEWAY).certificate, Authority.create(IDENTITIES, generation=2)
    lists = Revocations.parse(authority.crl([Revoked(mine.serial_number)]) + other.crl())
    peer, issuer = peer_with(mine), other.issuing.certificate.subject.public_bytes()
    theirs = replace(peer, certificate_id=CertificateId(issuer, mine.serial_number))
    theirs.check_still_valid(source_with(lists).current)
    with pytest.raises(NoLongerValid, match="was revoked"):
        peer.check_still_valid(source_with(lists).current)


def refused_for(peer: Peer, lists: bytes) -> str:
    """Return why a server with these lists refuses the peer; "" if it does not."""
    try:
        peer.check_still_valid(source_with(Revocations.parse(lists)).current)
    except NoLongerValid as error:
        return error.reason
    return ""


def test_missing_information_does_not_mean_not_revoked(authority: Authority) -> None:
    """gRPC looks into no list: what is missing for this peer is found in each of its calls."""
    issued, other = authority.issue(GATEWAY), Authority.create(IDENTITIES, generation=2)
    stranger = Authority.create(IDENTITIES)  # of the same name, but not of the same key
    peer = _peer_from_pem(issued.chain_pem, issued.chain_pem)
    assert peer.issuer == authority.issuing.certificate
    assert refused_for(peer, authority.crl()) == ""
    assert refused_for(peer, authority.crl() + other.crl()) == ""
    assert refused_for(peer, other.crl()) == "no_revocation_list"
    assert refused_for(peer, stranger.crl()) == "no_revocation_list"


def sign(authority: Authority, *extensions: x509.ExtensionType, begin: dt.timedelta) -> bytes:
    """Sign a list with critical extensions."""
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=authority.issuing.certificate.subject,
        last_update=now + begin,
        next_update=now + 2 * HOUR,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(authority.issuing.key, SHA256()).public_bytes(Encoding.PEM)


PART = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=False,
    only_contains_ca_certs=False,
    only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}),
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        (lambda own: own.crl(), ""),  # the twin of the others
        (lambda own: sign(own, begin=-HOUR), ""),  # without a number, as openssl makes it
        (lambda own: sign(own, x509.DeltaCRLIndicator(1), begin=-HOUR), "a delta list"),
        (lambda own: sign(own, PART, begin=-HOUR), "for a part of the certificates"),
        (lambda own: sign(own, begin=HOUR), "is in the future"),
        (
            lambda _: Authority.create(IDENTITIES, generation=2).crl(),
            "holds no list that .* has signed",
        ),
        (lambda _: Authority.create(IDENTITIES).crl(), "holds no list that .* has signed"),
        (lambda own: own.crl() + forged(own), "that it has not signed"),
    ],
)
def test_a_list_is_checked_before_it_is_used(
    authority: Authority, tmp_path: Path, lists: Callable[[Authority], bytes], reason: str
) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY), authority.ca_pem, crl_pem=lists(authority))
    if not reason:
        assert load_identity(tmp_path, roles=frozenset(Role)).revocations
        return
    with pytest.raises(IdentityError, match=reason):
        load_identity(tmp_path, roles=frozenset(Role))


def forged(authority: Authority) -> bytes:
    """Return a list that says it is of our CA, in name and key, and is not signed by it."""
    der = x509.load_pem_x509_crl(authority.crl()).public_bytes(Encoding.DER)
    return x509.load_der_x509_crl(der[:-1] + bytes([der[-1] ^ 1])).public_bytes(Encoding.PEM)


def test_a_missing_list_is_refused_where_lists_are_required(
    authority: Authority, tmp_path: Path
) -> None:
    write_identity(tmp_path, authority.issue(GATEWAY), authority.ca_pem)
    assert load_identity(tmp_path, roles=frozenset(Role)).revocations is None
    with pytest.raises(IdentityError, match="revocation lists are required"):
        load_identity(tmp_path, roles=frozenset(Role), require_revocation_lists=True)
    (tmp_path / "revoked.crl").write_bytes(authority.crl())
    load_identity(tmp_path, roles=frozenset(Role), require_revocation_lists=True)


def test_an_older_list_is_refused(authority: Authority) -> None:
    old, new = (Revocations.parse(authority.crl(number=number)) for number in (1, 2))
    new.check_not_older_than(old)
    new.check_not_older_than(new)
    with pytest.raises(RevocationError, match="holds an older list"):
        old.check_not_older_than(new)
    old.check_not_older_than(
        Revocations.parse(Authority.create(IDENTITIES, generation=2).crl(number=9))
    )


def test_a_list_may_be_long(authority: Authority, tmp_path: Path) -> None:
    """1,500 entries have 73 KB. Ten times as many are used by OpenSSL and by us."""
    lost = authority.issue(GATEWAY).certificate.serial_number
    entries = [Revoked(lost), *(Revoked(serial) for serial in range(1, 15_000))]
    write_identity(
        tmp_path, authority.issue(GATEWAY), authority.ca_pem, crl_pem=authority.crl(entries)
    )
    identity = load_identity(tmp_path, roles=frozenset(Role))
    assert identity.revocations
    assert len(identity.revocations.certificates) == 15_000
    rehearse_http_server(identity)


def test_lists_that_are_out_of_date_let_nobody_in(authority: Authority) -> None:
    peer = peer_with(authority.issue(GATEWAY).certificate)
    end = dt.datetime.now(dt.UTC) + HOUR
    identity = source_with(Revocations.parse(authority.crl(next_update=end))).current
    peer.check_still_valid(identity, now=end.timestamp() - 1)
    with pytest.raises(NoLongerValid, match="lists are out of date") as caught:
        peer.check_still_valid(identity, now=end.timestamp() + 1)
    assert caught.value.reason == Reason.NO_REVOCATION_LIST
