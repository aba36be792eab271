"""What a run makes, and that it touches nothing that is still right."""

import datetime as dt
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, KeyType
from pki.bootstrap import bootstrap
from pki.ca_folder import load_authorities, write_authority
from pki.errors import AuthorityUnusable
from pki.identity_folder import read_identity, write_identity
from pki.run import Options
from pki.store import make_folder

GATEWAY = identity_named("gateway")
ISSUED_FILES = ("certificate.crt", "key-pair.pem", "private-key.pem")
IDENTITY_FILES = ("ca-certificate.crt", "revoked.crl", *ISSUED_FILES)

State = dict[Path, tuple[int, int, bytes]]


def state(folder: Path) -> State:
    """Every file with its inode, time of change (ns) and content: even the same again shows."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def changed(before: State, after: State) -> set[Path]:
    paths = before.keys() | after.keys()
    return {path for path in paths if before.get(path) != after.get(path)}


def current_authority(folder: Path) -> Authority:
    (authority,) = load_authorities(folder, now=dt.datetime.now(dt.UTC))
    return authority


def write_an_identity(folder: Path) -> None:
    authority = Authority.create(IDENTITIES)
    write_identity(folder, authority.issue(identity_named("probe")), authority.ca_pem)


@pytest.fixture(params=[0o077, 0o000], ids=["strict", "none"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_makes_these_files_and_no_others(certs: Path) -> None:
    ca = {
        *("ca/1/ca-certificate.crt", "ca/1/issuing-certificate.crt"),
        *("ca/1/issuing-private-key.pem", "offline-root/1/ca-private-key.pem"),
        *("ca/issued.json", "ca/revoked.crl"),
    }
    identities = {f"{identity.name}/{file}" for identity in IDENTITIES for file in IDENTITY_FILES}
    files = {str(path.relative_to(certs)) for path in certs.rglob("*") if path.is_file()}
    copies = {f"published/{identity.name}.crt" for identity in IDENTITIES}
    assert files == ca | identities | copies


def test_a_file_with_a_key_is_open_to_its_owner_alone(certs: Path) -> None:
    for path in filter(Path.is_file, certs.rglob("*")):
        is_secret = b"PRIVATE KEY" in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if is_secret else 0o644), path
        assert (path.suffix == ".pem") == is_secret, path


@pytest.mark.usefixtures("umask")
def test_modes_do_not_depend_on_the_umask(certs: Path) -> None:
    modes = {
        name: stat.S_IMODE((certs / name).stat().st_mode)
        for name in (
            *("ca", "ca/1", "offline-root", "offline-root/1"),
            *("client", "client/uploader", "gateway", "gateway/certificate.crt"),
        )
    }
    assert modes == {
        "ca": 0o700,
        "ca/1": 0o700,
        "offline-root": 0o700,
        "offline-root/1": 0o700,
        "client": 0o755,
        "client/uploader": 0o755,
        "gateway": 0o755,
        "gateway/certificate.crt": 0o644,
    }


@pytest.mark.parametrize("make", [make_folder, write_an_identity])
def test_a_folder_is_never_open_to_others_for_writing(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    """Not even until its mode is set: under the umask 0 a neighbour could put a file into it."""
    before = os.umask(0)
    try:
        make(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o755] * 3


def test_keys_of_the_cas_are_in_one_file_each(certs: Path) -> None:
    for name in ("ca/1/issuing-private-key.pem", "offline-root/1/ca-private-key.pem"):
        key = (certs / name).read_bytes()
        files = filter(Path.is_file, certs.rglob("*"))
        assert [path for path in files if key in path.read_bytes()] == [certs / name]


def test_key_pair_is_the_key_and_then_the_chain(certs: Path) -> None:
    home = certs / "gateway"
    pair = (home / "private-key.pem").read_bytes() + (home / "certificate.crt").read_bytes()
    assert (home / "key-pair.pem").read_bytes() == pair


def test_a_second_run_changes_nothing_and_says_so(certs: Path) -> None:
    before = state(certs)
    outcome = bootstrap(certs, Options(IDENTITIES))
    assert state(certs) == before
    assert outcome.changes == ()
    assert len(outcome.notes) == 1
    assert outcome.notes[0].startswith("Nothing to do: 7 identities are in order")


def test_what_is_wrong_is_issued_again_and_nothing_else(certs: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = current_authority(certs)
    expired = authority.issue(GATEWAY, not_after=now - dt.timedelta(hours=1))
    lists = (certs / "ca" / "revoked.crl").read_bytes()
    write_identity(certs / "gateway", expired, authority.ca_pem, crl_pem=lists)
    before = state(certs)
    outcome = bootstrap(certs, Options(IDENTITIES))
    files = {certs / "gateway" / file for file in IDENTITY_FILES}
    more = {certs / "ca" / "issued.json", certs / "published" / "gateway.crt"}
    assert changed(before, state(certs)) == files | more
    assert len(outcome.changes) == 1
    assert outcome.changes[0].startswith("gateway: issued again, valid until ")
    assert outcome.changes[0].endswith(", because less than a third of its life is left")
    assert read_identity(certs / "gateway").leaf.not_valid_after_utc > now
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_a_leaf_lives_as_long_as_asked(tmp_path: Path) -> None:
    bootstrap(tmp_path, Options(IDENTITIES, leaf_life=dt.timedelta(days=89)))
    left = read_identity(tmp_path / "gateway").leaf.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=88) < left < dt.timedelta(days=89)


def test_a_leaf_lives_a_day_if_nothing_is_asked(certs: Path) -> None:
    left = read_identity(certs / "gateway").leaf.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23) < left < dt.timedelta(hours=24)


def test_everything_is_issued_again_when_that_is_asked(certs: Path) -> None:
    before = state(certs)
    outcome = bootstrap(certs, Options(IDENTITIES, again=True))
    assert len(outcome.changes) == len(IDENTITIES)
    assert all("because that was asked for" in change for change in outcome.changes)
    kept = {path for path in before if "ca" in path.parts or "offline-root" in path.parts}
    assert set(before) - changed(before, state(certs)) == kept - {certs / "ca" / "issued.json"}


@pytest.mark.parametrize(
    ("key_type", "kind"), [("ec", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)]
)
def test_every_key_is_of_the_type_that_was_asked_for(
    tmp_path: Path, key_type: KeyType, kind: type
) -> None:
    bootstrap(tmp_path, Options(IDENTITIES, key_type=key_type))
    certificates = [
        x509.load_pem_x509_certificate(path.read_bytes()) for path in tmp_path.rglob("*.crt")
    ]
    assert all(isinstance(each.public_key(), kind) for each in certificates)


def test_another_key_type_renews_the_leaves_and_keeps_the_ca(certs: Path) -> None:
    ca_before = state(certs / "ca" / "1")
    outcome = bootstrap(certs, Options(IDENTITIES, key_type="rsa"))
    assert state(certs / "ca" / "1") == ca_before
    assert len(outcome.changes) == len(IDENTITIES)
    assert all("its key type has changed" in change for change in outcome.changes)


def test_force_makes_a_new_ca_and_issues_everything_again(certs: Path) -> None:
    before = state(certs)
    bootstrap(certs, Options(IDENTITIES, force=True))
    after = state(certs)
    assert changed(before, after) == set(before)
    assert after.keys() == before.keys()
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_an_unusable_ca_is_an_error_that_changes_nothing_and_force_heals(certs: Path) -> None:
    (certs / "ca" / "1" / "issuing-private-key.pem").unlink()
    before = state(certs)
    with pytest.raises(AuthorityUnusable):
        bootstrap(certs, Options(IDENTITIES))
    assert state(certs) == before
    bootstrap(certs, Options(IDENTITIES, force=True))
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_leaves_of_a_ca_that_is_gone_are_issued_again(certs: Path) -> None:
    write_authority(certs, Authority.create(IDENTITIES))
    outcome = bootstrap(certs, Options(IDENTITIES))
    assert len(outcome.changes) == 1 + len(IDENTITIES)
    assert outcome.changes[0].endswith("because the CAs have changed")
    assert all("it was issued by another CA" in change for change in outcome.changes[1:])
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_the_end_of_the_root_is_told_in_time(tmp_path: Path) -> None:
    ten_years = dt.timedelta(days=10 * 365)
    write_authority(
        tmp_path,
        Authority.create(
            IDENTITIES, now=dt.datetime.now(dt.UTC) - ten_years + dt.timedelta(days=89)
        ),
    )
    (note,) = bootstrap(tmp_path, Options(IDENTITIES)).notes
    assert "replace it in time with `rotate-ca`" in note


@pytest.mark.parametrize("file", ["ca-certificate.crt", "revoked.crl"])
@pytest.mark.parametrize("content", [None, b"something else"])
def test_what_is_trusted_is_put_right_and_no_leaf_issued(
    certs: Path, file: str, content: bytes | None
) -> None:
    path = certs / "gateway" / file
    path.unlink() if content is None else path.write_bytes(content)
    before = state(certs)
    outcome = bootstrap(certs, Options(IDENTITIES))
    assert outcome.changes == ("1 folders: given the present roots and revocation lists",)
    assert {path.parent for path in changed(before, state(certs))} == {certs / "gateway"}
    assert path.read_bytes() == (certs / "probe" / file).read_bytes()


def test_a_key_that_was_opened_to_others_is_closed_again(certs: Path) -> None:
    key = certs / "gateway" / "private-key.pem"
    key.chmod(0o644)
    outcome = bootstrap(certs, Options(IDENTITIES))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert outcome.changes == ("owners and modes corrected: 1",)


def test_leaves_foreign_files_alone(certs: Path) -> None:
    foreign = certs / "README.md"
    foreign.write_text("not ours")
    foreign.chmod(0o640)
    bootstrap(certs, Options(IDENTITIES, force=True))
    assert foreign.read_text() == "not ours"
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o640
