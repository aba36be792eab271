"""A revocation list is one by the book (RFC 5280, section 5), and OpenSSL and Python act on it."""

import datetime as dt
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.crl import Revoked
from pki.identity_folder import write_identity
from tests.unit.pki.verifiers import handshake, openssl_says

HOUR = dt.timedelta(hours=1)
QUEUE, GATEWAY = identity_named("video-queue"), identity_named("gateway")
STOLEN = x509.ReasonFlags.key_compromise


def parsed(pem: bytes) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(pem)


def test_names_its_issuer_and_its_time_and_each_serial_with_its_reason(
    typed_authority: Authority,
) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    pem = typed_authority.crl(
        [Revoked(7, now - HOUR, STOLEN), Revoked(8, now)], next_update=now + HOUR, number=3
    )
    crl, issuer = parsed(pem), typed_authority.issuing.certificate
    assert crl.issuer == issuer.subject
    assert crl.is_signature_valid(typed_authority.issuing.key.public_key())
    assert crl.last_update_utc < now
    assert crl.next_update_utc == now + HOUR
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    aki = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert aki.key_identifier == ski.digest
    entries = {entry.serial_number: entry for entry in crl}
    assert entries.keys() == {7, 8}
    assert entries[7].revocation_date_utc == now - HOUR
    assert entries[7].extensions.get_extension_for_class(x509.CRLReason).value.reason == STOLEN
    assert list(entries[8].extensions) == []


def test_a_newer_list_has_a_higher_number(authority: Authority) -> None:
    lists = [parsed(authority.crl()) for _ in range(3)]
    numbers = [
        crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in lists
    ]
    assert numbers == sorted(set(numbers))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
def test_openssl_refuses_who_is_listed_and_nobody_else(
    tmp_path: Path, typed_authority: Authority
) -> None:
    issued, other = typed_authority.issue(GATEWAY), typed_authority.issue(GATEWAY)
    ca_pem, serial = typed_authority.ca_pem, issued.certificate.serial_number
    for listed, message in (
        ([], ""),
        ([Revoked(other.certificate.serial_number)], ""),
        ([Revoked(serial)], "certificate revoked"),
    ):
        write_identity(tmp_path, issued, ca_pem, crl_pem=typed_authority.crl(listed))
        assert (message in openssl_says(tmp_path)) if message else not openssl_says(tmp_path)
    write_identity(
        tmp_path,
        issued,
        ca_pem,
        crl_pem=typed_authority.crl(next_update=dt.datetime.now(dt.UTC) - HOUR),
    )
    assert "CRL has expired" in openssl_says(tmp_path)


@pytest.mark.parametrize("is_first", [True, False])
def test_python_reads_the_lists_of_two_cas_from_one_file(
    tmp_path: Path, authority: Authority, *, is_first: bool
) -> None:
    """During a rollover both CAs are trusted, and each leaf is looked up in its own CA's list."""
    other = Authority.create(IDENTITIES)
    mine, yours = (authority, other) if is_first else (other, authority)
    ca_pem = authority.ca_pem + other.ca_pem
    queue, gateway = mine.issue(QUEUE), yours.issue(GATEWAY)
    server, client = tmp_path / "server", tmp_path / "client"

    def meet(revoked: list[Revoked]) -> None:
        lists = {mine.ca_pem: mine.crl(), yours.ca_pem: yours.crl(revoked)}
        crl_pem = lists[authority.ca_pem] + lists[other.ca_pem]
        write_identity(server, queue, ca_pem, crl_pem=crl_pem)
        write_identity(client, gateway, ca_pem, crl_pem=crl_pem)
        handshake(server=server, client=client)

    meet([])
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
        meet([Revoked(gateway.certificate.serial_number)])


def test_an_identity_without_a_list_keeps_no_old_one(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue(GATEWAY)
    write_identity(tmp_path, issued, authority.ca_pem, crl_pem=authority.crl())
    assert (tmp_path / "revoked.crl").stat().st_mode & 0o777 == 0o644
    write_identity(tmp_path, issued, authority.ca_pem)
    assert not (tmp_path / "revoked.crl").exists()
