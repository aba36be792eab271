"""Certificates that must be refused: harmless by what they are, and kept up."""

import datetime as dt
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from bootstrap_certs import main
from demo_identities import IDENTITIES
from gateway.policy import ALLOWED as AT_THE_GATEWAY
from pki import impostors
from pki.bootstrap import bootstrap
from pki.crl import parse_crls, revoked_in
from pki.impostors import MAKERS
from pki.layout import CA_FOLDER, CHAIN, ISSUING_CERTIFICATE
from pki.pem import parse_certificates, parse_key
from pki.revoke import revoke
from pki.run import Options
from pki.signing import is_issued_by
from video_queue.policy import ALLOWED as AT_THE_QUEUE

OPTIONS = Options(IDENTITIES, impostors=True)
SAN = x509.SubjectAlternativeName


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    bootstrap(folder, OPTIONS)
    return folder


def leaves(folder: Path) -> dict[str, x509.Certificate]:
    return {
        kind: parse_certificates((folder / "impostors" / f"{kind}.pem").read_bytes())[0]
        for kind in MAKERS
    }


def issuing_ca(folder: Path) -> x509.Certificate:
    return parse_certificates((folder / "probe" / CHAIN.name).read_bytes())[1]


def names(leaf: x509.Certificate) -> Iterator[x509.GeneralName]:
    try:
        yield from leaf.extensions.get_extension_for_class(SAN).value
    except x509.ExtensionNotFound:
        return


def test_there_is_a_file_of_each_kind_that_its_owner_alone_reads(certs: Path) -> None:
    paths = sorted((certs / "impostors").iterdir())
    assert [path.stem for path in paths] == sorted(MAKERS)
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        assert parse_key(content).public_key() == parse_certificates(content)[0].public_key()


def test_what_our_ca_has_signed_names_nobody_whom_a_policy_knows(certs: Path) -> None:
    """So nothing is lost when a clock is wrong, a list is missing or a file is stolen."""
    known = {
        name for table in (AT_THE_GATEWAY, AT_THE_QUEUE) for row in table.values() for name in row
    }
    ours = {
        kind: leaf for kind, leaf in leaves(certs).items() if is_issued_by(leaf, issuing_ca(certs))
    }
    assert set(MAKERS) - set(ours) == {"self-signed", "another-ca", "same-names"}
    for kind, leaf in ours.items():
        uris = [
            name.value for name in names(leaf) if isinstance(name, x509.UniformResourceIdentifier)
        ]
        inside = [uri for uri in uris if uri.startswith("spiffe://video-demo.test/")]
        assert not {uri.removeprefix("spiffe://video-demo.test/") for uri in inside} & known, kind
        assert all(uri.startswith("spiffe://video-demo.test/impostors/") for uri in inside), kind


def test_none_has_a_host_name_of_a_server_or_may_sign(certs: Path) -> None:
    for kind, leaf in leaves(certs).items():
        if not is_issued_by(leaf, issuing_ca(certs)):
            continue
        hosts = {name.value for name in names(leaf) if isinstance(name, x509.DNSName)}
        assert not hosts & set(IDENTITIES.dns_names), kind
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        assert not usage.key_cert_sign, kind


def test_one_is_revoked_in_every_folder(certs: Path) -> None:
    serial = leaves(certs)["revoked"].serial_number
    (crl,) = parse_crls((certs / "gateway" / "revoked.crl").read_bytes())
    assert set(revoked_in(crl)) == {serial}


def test_they_stay_as_they_are_until_they_are_due(tmp_path: Path) -> None:
    bootstrap(tmp_path, OPTIONS)
    before = leaves(tmp_path)
    assert bootstrap(tmp_path, OPTIONS).changes == ()
    assert leaves(tmp_path) == before


def test_one_that_is_missing_or_damaged_has_all_made_again(tmp_path: Path) -> None:
    bootstrap(tmp_path, OPTIONS)
    for content in (None, b"damaged"):
        path = tmp_path / "impostors" / "expired.pem"
        path.unlink() if content is None else path.write_bytes(content)
        changes = bootstrap(tmp_path, OPTIONS).changes
        assert changes[0] == "impostors: made 13 certificates that must be refused"
        assert set(leaves(tmp_path)) == set(MAKERS)


def test_they_are_made_again_when_they_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap(tmp_path, OPTIONS)
    before = leaves(tmp_path)
    monkeypatch.setattr(impostors, "renewal_due", lambda leaf: leaf.not_valid_before_utc)
    assert bootstrap(tmp_path, OPTIONS).changes[0].startswith("impostors: made 13")
    after = leaves(tmp_path)
    assert not set(before.values()) & set(after.values())
    (crl,) = parse_crls((tmp_path / "gateway" / "revoked.crl").read_bytes())
    assert after["revoked"].serial_number in revoked_in(crl)


def test_a_new_issuing_ca_makes_them_again(tmp_path: Path) -> None:
    bootstrap(tmp_path, OPTIONS)
    replaced = replace(OPTIONS, new_issuing_ca=True, load_time=dt.timedelta(0))
    bootstrap(tmp_path, replaced)
    newest = tmp_path / CA_FOLDER / "2" / ISSUING_CERTIFICATE.name
    (ca,) = parse_certificates(newest.read_bytes())
    before = leaves(tmp_path)
    assert is_issued_by(before["not-allowed"], ca)
    assert is_issued_by(before["revoked"], ca)
    assert bootstrap(tmp_path, OPTIONS).changes == ()
    assert leaves(tmp_path) == before


def test_the_valid_one_can_be_revoked_by_its_name_and_another_is_made(tmp_path: Path) -> None:
    bootstrap(tmp_path, OPTIONS)
    assert any(
        line.startswith("impostors/not-allowed: revoked")
        for line in revoke(tmp_path, OPTIONS, "impostors/not-allowed")
    )


def test_without_the_option_there_are_none(tmp_path: Path) -> None:
    assert main(["--folder", str(tmp_path)]) == 0
    assert not (tmp_path / "impostors").exists()
    assert main(["--folder", str(tmp_path), "--impostors"]) == 0
    assert len(list((tmp_path / "impostors").iterdir())) == len(MAKERS)
