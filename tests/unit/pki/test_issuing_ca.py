"""A name that is added needs another issuing CA, under the same root, which no peer notices."""

import datetime as dt
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mtls.identity import load_identity

import pytest
from cryptography import x509

from demo_identities import FILE, IDENTITIES, identity_named
from pki import authority as authority_module
from pki.authority import ISSUING_LIFE, Authority
from pki.bootstrap import bootstrap
from pki.ca_folder import write_authority
from pki.crl import parse_crls, revoked_in
from pki.errors import AuthorityUnusable, RootKeyAway, StageNotAllowed
from pki.identities import SERVER, Identities, Identity, load_identities
from pki.identity_folder import read_identity
from pki.pem import key_pem
from pki.record import Record, read_record, write_record
from pki.revoke import revoke
from pki.rollover import progress, rotate
from pki.rollover_state import Authorities, Stage
from pki.run import Options
from pki.signing import common_name
from tests.unit.pki.test_interrupted_runs import run_until_rename
from tests.unit.pki.verifiers import handshake, openssl_says

MAILER = Identity(IDENTITIES.trust_domain, "mailer", (SERVER,), "sends mail", ("mailer",))
MORE = replace(IDENTITIES, rows=(*IDENTITIES, MAILER))
AT_ONCE = dt.timedelta(0)
OLD, NEW = "video-demo.test issuing CA", "video-demo.test issuing CA 2"
MADE = f"ca: made {NEW}, because the present one may not sign mailer"


def options(identities: Identities = MORE) -> Options:
    return Options(identities, load_time=AT_ONCE)


def issuer(certs: Path, name: str) -> str:
    return common_name(read_identity(certs / name).chain[1])


def lists(certs: Path, name: str) -> list[x509.CertificateRevocationList]:
    return parse_crls((certs / name / "revoked.crl").read_bytes())


def roots(certs: Path) -> set[bytes]:
    return {path.read_bytes() for path in certs.rglob("ca-certificate.crt")}


def expire(certs: Path, *, generation: int) -> None:
    """Date back the leaves of one CA in the record, as if their time were over."""
    now, record = dt.datetime.now(dt.UTC), read_record(certs)
    old = now - dt.timedelta(days=1)
    leaves = (
        replace(leaf, not_after=old) if leaf.generation == generation else leaf
        for leaf in record.leaves
    )
    write_record(certs, Record(tuple(leaves)), owner=None)


def test_a_new_row_makes_a_new_issuing_ca_under_the_same_root(certs: Path) -> None:
    before, leaves = roots(certs), {each: read_identity(certs / each.name) for each in IDENTITIES}
    outcome = bootstrap(certs, options())
    assert outcome.problem is None
    assert outcome.changes[0] == MADE
    assert outcome.changes[1].startswith("mailer: issued, valid until ")
    assert len(outcome.changes) == 2
    assert roots(certs) == before
    assert {each: read_identity(certs / each.name) for each in IDENTITIES} == leaves
    assert (issuer(certs, "mailer"), issuer(certs, "gateway")) == (NEW, OLD)
    assert bootstrap(certs, options()).changes == ()


def test_old_and_new_leaves_accept_each_other(certs: Path) -> None:
    bootstrap(certs, options())
    handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")
    handshake(server=certs / "gateway", client=certs / "probe", name="gateway")
    (certs / "gateway" / "key-pair.pem").unlink()
    bootstrap(certs, options())
    assert issuer(certs, "gateway") == NEW
    handshake(server=certs / "video-queue", client=certs / "gateway")
    handshake(server=certs / "gateway", client=certs / "probe", name="gateway")


def test_openssl_accepts_the_leaves_of_both(certs: Path) -> None:
    bootstrap(certs, options())
    assert [openssl_says(certs / name) for name in ("mailer", "gateway")] == ["", ""]


def test_leaves_move_over_when_they_are_due_and_the_old_ca_goes_with_the_last(certs: Path) -> None:
    bootstrap(certs, options())
    assert {len(lists(certs, each.name)) for each in MORE} == {2}
    bootstrap(certs, replace(options(), again=True))
    assert {issuer(certs, each.name) for each in MORE} == {NEW}
    assert {len(lists(certs, each.name)) for each in MORE} == {2}  # somebody may have a copy
    expire(certs, generation=1)
    outcome = bootstrap(certs, options())
    assert outcome.changes[0] == f"ca: removed {OLD}; its last leaf has expired"
    assert {len(lists(certs, each.name)) for each in MORE} == {1}
    assert [path.name for path in (certs / "ca").glob("[0-9]*")] == ["2"]
    assert [path.name for path in (certs / "offline-root").iterdir()] == ["1"]  # the root's key
    assert bootstrap(certs, options()).changes == ()


def test_a_leaf_of_each_can_be_revoked(certs: Path) -> None:
    bootstrap(certs, options())
    stolen = [read_identity(certs / name).leaf.serial_number for name in ("gateway", "mailer")]
    for name in ("gateway", "mailer"):
        revoke(certs, options(), name)
    assert [list(revoked_in(crl)) for crl in lists(certs, "probe")] == [[each] for each in stolen]


def test_the_old_ca_stays_though_the_record_was_lost(certs: Path) -> None:
    bootstrap(certs, options())
    for name in ("issued.json", "revoked.crl"):
        (certs / "ca" / name).unlink()
    bootstrap(certs, options())
    assert (issuer(certs, "gateway"), len(lists(certs, "probe"))) == (OLD, 2)
    stolen = read_identity(certs / "gateway").leaf.serial_number
    revoke(certs, options(), "gateway")
    assert [list(revoked_in(crl)) for crl in lists(certs, "probe")] == [[stolen], []]


def test_everybody_has_the_list_before_the_new_ca_signs(
    certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that lacks the list of a CA refuses all its leaves, so there is a pause."""
    seen: list[str] = []

    def sleep(seconds: float) -> None:
        assert {len(lists(certs, each.name)) for each in IDENTITIES} == {2}
        assert not (certs / "ca" / "2").exists()
        assert not (certs / "mailer").exists()
        seen.append(f"{seconds}s")

    monkeypatch.setattr(time, "sleep", sleep)
    bootstrap(certs, Options(MORE), on_pause=lambda: seen.append("told"))
    assert seen == ["told", "10.0s"]
    assert issuer(certs, "mailer") == NEW


def test_a_row_that_is_taken_away_changes_nothing(certs: Path) -> None:
    bootstrap(certs, options())
    assert bootstrap(certs, options(IDENTITIES)).changes == ()


def test_another_host_name_of_a_row_is_such_a_change_too(certs: Path) -> None:
    gateway = replace(identity_named("gateway"), dns_names=("gateway", "localhost", "gw.test"))
    rows = tuple(gateway if each.name == "gateway" else each for each in IDENTITIES)
    outcome = bootstrap(certs, options(replace(IDENTITIES, rows=rows)))
    assert outcome.changes[0].endswith("because the present one may not sign gw.test")
    assert outcome.changes[1].startswith("gateway: issued again")
    assert (issuer(certs, "gateway"), issuer(certs, "probe")) == (NEW, OLD)


@pytest.fixture
def away(certs: Path, tmp_path: Path) -> Path:
    """The root's key, on a medium elsewhere."""
    return (certs / "offline-root").rename(tmp_path / "drawer")


def test_without_the_roots_key_it_says_what_to_do_and_renews_the_others(
    certs: Path, away: Path
) -> None:
    (certs / "gateway" / "key-pair.pem").unlink()
    outcome = bootstrap(certs, options())
    assert [change.partition(", ")[0] for change in outcome.changes] == ["gateway: issued again"]
    assert outcome.problem == (
        "A new issuing CA is needed, because the present one may not sign mailer, and the key of "
        f"video-demo.test root CA is not in {certs}/offline-root. Put that folder back, run this "
        "again, and move it away again. In docker compose: docker compose run --rm certs"
    )
    assert not (certs / "mailer").exists()
    away.rename(certs / "offline-root")
    outcome = bootstrap(certs, options())
    assert (outcome.problem, outcome.changes[0]) == (None, MADE)
    shutil.rmtree(certs / "offline-root")
    assert bootstrap(certs, options()).changes == ()


def test_the_command_line_says_so_too(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run()
    (tmp_path / "certs" / "offline-root").rename(tmp_path / "drawer")
    table = tmp_path / "more.toml"
    row = '[[identity]]\nname = "mailer"\nuse = ["server"]\ndns_names = ["mailer"]\npurpose = "x"\n'
    table.write_text(FILE.read_text() + row)
    told = run("--identities", str(table))
    assert told.returncode == 1
    assert told.stderr.startswith(
        "bootstrap_certs: A new issuing CA is needed, because the present"
    )
    assert told.stderr.count("\n") == 1
    checked = run("--identities", str(table), "check")
    assert checked.returncode == 1
    assert checked.stdout == "mailer: needs another issuing CA, which may sign its DNS names\n"
    (tmp_path / "drawer").rename(tmp_path / "certs" / "offline-root")
    done = run("--identities", str(table), "--load-time", "1s")
    assert done.returncode == 0
    assert done.stdout.startswith(MADE)
    assert done.stderr == (
        "bootstrap_certs: The new issuing CA signs in 1s, when every service has loaded its "
        "revocation list.\n"
    )


def test_the_key_of_another_root_is_not_taken(certs: Path, away: Path) -> None:
    other = Authority.create(IDENTITIES).root_key
    assert other
    shutil.copytree(away, certs / "offline-root")
    (certs / "offline-root" / "1" / "ca-private-key.pem").write_bytes(key_pem(other))
    assert "is not in" in (bootstrap(certs, options()).problem or "")
    assert not (certs / "ca" / "2").exists()


def test_a_ca_of_an_older_version_is_replaced_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those had a constraint on URIs, which browsers refuse."""

    def of_old(dns_names: tuple[str, ...]) -> x509.NameConstraints:
        uri = x509.UniformResourceIdentifier("video-demo.test")
        return x509.NameConstraints([*map(x509.DNSName, dns_names), uri], None)

    with monkeypatch.context() as patched:
        patched.setattr(authority_module, "name_constraints", of_old)
        write_authority(tmp_path, Authority.create(IDENTITIES))
    outcome = bootstrap(tmp_path, options(IDENTITIES))
    assert (
        f"ca: made {NEW}, because the present one was made by an older version of this program"
        in (outcome.changes)
    )
    assert bootstrap(tmp_path, options(IDENTITIES)).changes == ()


@pytest.mark.parametrize(("days", "is_replaced"), [(91, False), (89, True), (-1, True)])
def test_an_issuing_ca_is_replaced_before_its_end(
    tmp_path: Path, days: int, *, is_replaced: bool
) -> None:
    """The root lives longer, so nobody has to trust another one."""
    made = dt.datetime.now(dt.UTC) - ISSUING_LIFE + dt.timedelta(days=days)
    write_authority(tmp_path, Authority.create(IDENTITIES, now=made))
    outcome = bootstrap(tmp_path, options(IDENTITIES))
    assert any(change.startswith(f"ca: made {NEW}, because") for change in outcome.changes) == (
        is_replaced
    )
    again = bootstrap(tmp_path, options(IDENTITIES))
    assert again.problem is None
    assert all(change.startswith("ca: removed") for change in again.changes)
    assert read_identity(tmp_path / "gateway").leaf.not_valid_after_utc > dt.datetime.now(dt.UTC)


def test_another_one_can_be_asked_for(certs: Path) -> None:
    outcome = bootstrap(certs, replace(options(IDENTITIES), new_issuing_ca=True))
    assert outcome.changes == (f"ca: made {NEW}, because that was asked for",)
    assert issuer(certs, "gateway") == OLD


@pytest.mark.parametrize("content", [None, b"noise"])
def test_a_lost_key_costs_the_issuing_ca_and_not_the_root(
    certs: Path, content: bytes | None
) -> None:
    """Its list can be signed no longer, so all its leaves are issued again."""
    before, key = roots(certs), certs / "ca" / "1" / "issuing-private-key.pem"
    key.unlink() if content is None else key.write_bytes(content)
    with pytest.raises(AuthorityUnusable, match="--new-issuing-ca"):
        bootstrap(certs, options(IDENTITIES))
    outcome = bootstrap(certs, replace(options(IDENTITIES), new_issuing_ca=True))
    assert outcome.changes[0] == f"ca: made {NEW}, because ca/1 cannot be used"
    assert roots(certs) == before
    assert {issuer(certs, each.name) for each in IDENTITIES} == {NEW}
    handshake(server=certs / "video-queue", client=certs / "gateway")
    assert bootstrap(certs, options(IDENTITIES)).changes == ()


def test_a_lost_key_without_the_roots_is_said(certs: Path, away: Path) -> None:
    (certs / "ca" / "1" / "issuing-private-key.pem").unlink()
    with pytest.raises(RootKeyAway, match="Put that folder back"):
        bootstrap(certs, replace(options(IDENTITIES), new_issuing_ca=True))
    assert away.exists()
    assert (certs / "ca" / "1").exists()


RENAMES = 1 + 1 + 2 * len(IDENTITIES) + 4 + 1 + 6


@pytest.mark.parametrize("count", range(RENAMES))
def test_a_run_may_stop_before_any_rename(
    certs: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = roots(certs)
    run_until_rename(count, lambda: bootstrap(certs, options()), monkeypatch)
    for identity in IDENTITIES:  # a service that is restarted now starts
        load_identity(certs / identity.name, roles=frozenset())
    handshake(server=certs / "video-queue", client=certs / "gateway")
    assert bootstrap(certs, options()).problem is None
    assert issuer(certs, "mailer") == NEW
    assert roots(certs) == before
    handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")
    assert bootstrap(certs, options()).changes == ()
    assert not list(certs.rglob(".*"))


def test_a_run_takes_as_many_renames_as_are_tried(
    certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_rename(RENAMES - 1, lambda: bootstrap(certs, options()), monkeypatch)
    with pytest.raises(pytest.fail.Exception):  # it is over before
        run_until_rename(RENAMES, lambda: bootstrap(certs, options()), monkeypatch)


def test_a_row_may_be_added_in_the_middle_of_a_rollover(certs: Path) -> None:
    rotate(certs, options(IDENTITIES), Stage.TRUST)
    bootstrap(certs, options())
    assert issuer(certs, "mailer") == "video-demo.test issuing CA 3"
    handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")

    rotate(certs, options(), Stage.ISSUE)
    assert issuer(certs, "gateway") == NEW  # that of the new root, which was made before the row
    told = "mailer: needs another issuing CA, which may sign its DNS names"
    assert progress(certs, options(), on_wait=lambda: None).obstacles == (
        f"{told} (run this without a command)",
    )
    with pytest.raises(StageNotAllowed, match=told):
        rotate(certs, options(), Stage.DROP)
    bootstrap(certs, options())
    assert issuer(certs, "mailer") == "video-demo.test issuing CA 4"
    handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")

    rotate(certs, options(), Stage.DROP)
    assert {path.name for path in (certs / "ca").glob("[0-9]*")} == {"2", "4"}
    assert [path.name for path in (certs / "offline-root").iterdir()] == ["2"]
    authorities = Authorities.load(certs, now=dt.datetime.now(dt.UTC))
    assert authorities
    assert common_name(authorities.issuing.root) == "video-demo.test root CA 2"
    handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")
    assert bootstrap(certs, options()).changes == ()


def test_a_root_is_replaced_while_two_issuing_cas_of_the_old_one_are_there(certs: Path) -> None:
    bootstrap(certs, options())
    for stage in Stage:
        rotate(certs, options(), stage)
        handshake(server=certs / "mailer", client=certs / "gateway", name="mailer")
        assert bootstrap(certs, options()).changes == ()
    assert [path.name for path in (certs / "ca").glob("[0-9]*")] == ["3"]
    assert [path.name for path in (certs / "offline-root").iterdir()] == ["3"]


def test_the_ca_of_another_trust_domain_is_not_touched(certs: Path, tmp_path: Path) -> None:
    table = tmp_path / "other.toml"
    table.write_text(FILE.read_text().replace("video-demo.test", "other.test"))
    before = {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()}
    with pytest.raises(AuthorityUnusable, match=r"other\.test.* is the CA of video-demo\.test"):
        bootstrap(certs, options(load_identities(table)))
    assert {path: path.read_bytes() for path in certs.rglob("*") if path.is_file()} == before
