"""An identity is issued again when, and only when, something about it is no longer right."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import assume, given
from hypothesis import strategies as st

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued, KeyType
from pki.identities import CLIENT, SERVER
from pki.identity_folder import (
    Wanted,
    read_identity,
    reason_to_issue,
    trusts,
    write_identity,
    write_trust,
)
from pki.pem import certificate_pem, parse_key

GATEWAY = identity_named("gateway")
FILES = ("certificate.crt", "private-key.pem", "key-pair.pem")
TRUST, LISTS = "ca-certificate.crt", "revoked.crl"
DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Home:
    """The gateway's folder, and the CA that issued what is in it."""

    folder: Path
    authority: Authority

    def write(self, issued: Issued) -> None:
        write_identity(self.folder, issued, self.authority.ca_pem)

    def reason(
        self,
        *,
        key_type: KeyType = "ec",
        now: dt.datetime | None = None,
        revoked: frozenset[int] = frozenset(),
    ) -> str | None:
        wanted = Wanted(
            GATEWAY, (self.authority,), key_type, now or dt.datetime.now(dt.UTC), revoked
        )
        return reason_to_issue(self.folder, wanted)


@pytest.fixture
def home(tmp_path: Path, authority: Authority) -> Home:
    home = Home(tmp_path / "gateway", authority)
    home.write(authority.issue(GATEWAY))
    return home


def test_a_new_identity_is_as_wanted(home: Home) -> None:
    assert home.reason() is None


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_missing(home: Home, file: str) -> None:
    (home.folder / file).unlink()
    assert home.reason() == f"{file} is missing"


def test_another_ca_of_the_same_name_issued_it(home: Home) -> None:
    home.write(Authority.create(IDENTITIES).issue(GATEWAY))
    assert home.reason() == "it was issued by another CA"


def test_whom_it_trusts_is_no_reason(home: Home) -> None:
    write_identity(home.folder, home.authority.issue(GATEWAY), Authority.create(IDENTITIES).ca_pem)
    assert home.reason() is None


@pytest.mark.parametrize(
    ("ca_pem", "crl_pem", "is_so"),
    [(b"ca", b"crl", True), (b"other", b"crl", False), (b"ca", b"other", False)],
)
def test_it_trusts_exactly_what_is_in_its_files(
    tmp_path: Path, ca_pem: bytes, crl_pem: bytes, *, is_so: bool
) -> None:
    assert not trusts(tmp_path, b"ca", b"crl")
    write_trust(tmp_path, ca_pem, crl_pem)
    assert trusts(tmp_path, b"ca", b"crl") == is_so


def test_the_lists_of_a_new_ca_are_there_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service may look between any two renames, and without a list it lets nobody in."""
    write_trust(tmp_path, b"old", b"list of the old")
    rename, seen = Path.rename, []

    def watched(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        seen.append((tmp_path / TRUST).read_bytes() + b", " + (tmp_path / LISTS).read_bytes())
        return renamed

    monkeypatch.setattr(Path, "rename", watched)
    write_trust(tmp_path, b"both", b"lists of both")
    assert seen == [b"old, lists of both", b"both, lists of both"]


def test_it_is_revoked(home: Home) -> None:
    serial = read_identity(home.folder).leaf.serial_number
    assert home.reason(revoked=frozenset({serial + 1})) is None
    assert home.reason(revoked=frozenset({serial})) == "it is revoked"


def test_the_chain_lacks_the_issuing_ca(home: Home) -> None:
    leaf = read_identity(home.folder).leaf
    (home.folder / "certificate.crt").write_bytes(certificate_pem(leaf))
    assert home.reason() == "it was issued by another CA"


def test_the_key_is_another_one(home: Home) -> None:
    (home.folder / "private-key.pem").write_bytes(home.authority.issue(GATEWAY).key_pem)
    assert home.reason() == "the private key does not fit the certificate"


def test_the_key_has_a_password(home: Home) -> None:
    path = home.folder / "private-key.pem"
    password = BestAvailableEncryption(b"secret")
    key = parse_key(path.read_bytes())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password))
    assert home.reason() == "its private key has a password, which no service can type"


def test_the_key_pair_was_left_behind(home: Home) -> None:
    old = (home.folder / "key-pair.pem").read_bytes()
    home.write(home.authority.issue(GATEWAY))
    (home.folder / "key-pair.pem").write_bytes(old)
    assert home.reason() == "key-pair.pem is not the key and the chain"


@pytest.mark.parametrize("dns_names", [[], ["gateway"], ["gateway", "localhost", "video-queue"]])
def test_its_host_names_have_changed(home: Home, dns_names: list[str]) -> None:
    home.write(home.authority.issue(GATEWAY, dns_names=dns_names))
    assert home.reason() == "its names have changed"


def test_its_spiffe_id_has_changed(home: Home) -> None:
    home.write(home.authority.issue(GATEWAY, uris=[identity_named("probe").uri]))
    assert home.reason() == "its names have changed"


def test_it_has_no_names_at_all(home: Home) -> None:
    home.write(home.authority.issue(GATEWAY, uris=[], dns_names=[]))
    assert home.reason() == "its names have changed"


@pytest.mark.parametrize("ekus", [[], [SERVER], [CLIENT]])
def test_its_extended_key_usage_has_changed(home: Home, ekus: list[ObjectIdentifier]) -> None:
    home.write(home.authority.issue(GATEWAY, ekus=ekus))
    assert home.reason() == "its extended key usage has changed"


@pytest.mark.parametrize(("has", "wants"), [("ec", "rsa"), ("rsa", "ec")])
def test_its_key_type_has_changed(home: Home, has: KeyType, wants: KeyType) -> None:
    home.write(home.authority.issue(GATEWAY, key_type=has))
    assert home.reason(key_type=has) is None
    assert home.reason(key_type=wants) == "its key type has changed"


def test_less_than_a_third_of_its_life_is_left(home: Home) -> None:
    home.write(home.authority.issue(GATEWAY, not_before=NOW, not_after=NOW + 30 * DAY))
    assert home.reason(now=NOW + 19 * DAY) is None
    assert home.reason(now=NOW + 21 * DAY) == "less than a third of its life is left"
    assert home.reason(now=NOW + 31 * DAY) == "less than a third of its life is left"


@pytest.mark.parametrize("life", [dt.timedelta(seconds=60), dt.timedelta(hours=24)])
def test_the_five_minutes_before_it_was_made_are_no_part_of_its_life(
    home: Home, life: dt.timedelta
) -> None:
    home.write(home.authority.issue(GATEWAY, life=life))
    made = dt.datetime.now(dt.UTC)
    second = dt.timedelta(seconds=2)  # a certificate's times have no fractions
    assert home.reason(now=made + life * 2 / 3 - second) is None
    assert home.reason(now=made + life * 2 / 3 + second) == "less than a third of its life is left"


def test_it_is_not_valid_yet(home: Home) -> None:
    home.write(home.authority.issue(GATEWAY, not_before=NOW + DAY, not_after=NOW + 9 * DAY))
    assert home.reason(now=NOW) == "it is not valid yet by the clock of this machine"
    assert home.reason(now=NOW + 2 * DAY) is None


@pytest.mark.parametrize("unreadable", [("private-key.pem", "key-pair.pem"), ("key-pair.pem",)])
def test_a_secret_that_this_user_may_not_read_is_taken_to_be_right(
    home: Home, unreadable: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name in unreadable:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert home.reason() is None
    home.write(home.authority.issue(GATEWAY, ekus=[CLIENT]))
    assert home.reason() == "its extended key usage has changed"


def test_a_new_certificate_takes_the_browsers_old_one_away(home: Home) -> None:
    (home.folder / "client.p12").write_bytes(b"the old key")
    home.write(home.authority.issue(GATEWAY))
    assert {path.name for path in home.folder.iterdir()} == {*FILES, TRUST}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Home:
    home = Home(tmp_path_factory.mktemp("damaged"), authority)
    home.write(authority.issue(GATEWAY))
    return home


@given(file=st.sampled_from(FILES), start=st.integers(0), content=st.binary(max_size=50))
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_any_damage_to_any_file_is_a_reason_and_never_a_crash(
    good: Home, file: str, start: int, content: bytes
) -> None:
    """The file is cut short somewhere, and something else follows."""
    path = good.folder / file
    original = path.read_bytes()
    damaged = original[: start % len(original)] + content
    assume(damaged != original)
    path.write_bytes(damaged)
    try:
        assert good.reason()
    finally:
        path.write_bytes(original)
    assert good.reason() is None
