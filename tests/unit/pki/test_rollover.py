"""A CA is replaced while everybody works on; no stage begins before the last one is complete."""

import datetime as dt
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from mtls.identity import IdentityError, load_identity

import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from pki.bootstrap import bootstrap
from pki.crl import parse_crls, revoked_in
from pki.errors import AuthorityUnusable, StageNotAllowed
from pki.identity_folder import read_identity, write_identity
from pki.pem import certificate_pem
from pki.revoke import revoke
from pki.rollover import Progress, progress, rotate
from pki.rollover_state import Authorities, Stage, read_rollover
from pki.run import Options
from pki.signing import common_name
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import handshake, openssl_says

AT_ONCE = dt.timedelta(0)
OLD, NEW = "video-demo.test root CA", "video-demo.test root CA 2"


def look(certs: Path, load_time: dt.timedelta = AT_ONCE) -> Progress:
    return progress(certs, Options(IDENTITIES, load_time=load_time), on_wait=lambda: None)


def step(certs: Path, stage: Stage, load_time: dt.timedelta = AT_ONCE) -> tuple[str, ...]:
    return rotate(certs, Options(IDENTITIES, load_time=load_time), stage)


def roots(certs: Path, name: str = "gateway") -> list[str]:
    pem = (certs / name / "ca-certificate.crt").read_bytes()
    return [common_name(root) for root in x509.load_pem_x509_certificates(pem)]


def issuer(certs: Path, name: str = "gateway") -> str:
    return common_name(read_identity(certs / name).chain[1])


def test_the_whole_way(certs: Path) -> None:
    """What each stage leaves, and what is next, in the words that people are told."""
    assert look(certs).next is Stage.TRUST
    (root,) = x509.load_pem_x509_certificates((certs / "gateway/ca-certificate.crt").read_bytes())
    end = f"{root.not_valid_after_utc:%F}"  # the root's, not that of the issuing CA
    assert look(certs).now == f"No rollover is under way. Everybody trusts {OLD}, until {end}."

    step(certs, Stage.TRUST)
    assert (look(certs).next, look(certs).obstacles) == (Stage.ISSUE, ())
    assert look(certs).now == f"Stage trust: everybody trusts {OLD} and {NEW}; {OLD} issues."
    for identity in IDENTITIES:
        assert roots(certs, identity.name) == [OLD, NEW]
        assert issuer(certs, identity.name) == "video-demo.test issuing CA"
        assert len(parse_crls((certs / identity.name / "revoked.crl").read_bytes())) == 2

    step(certs, Stage.ISSUE)
    assert (look(certs).next, look(certs).obstacles) == (Stage.DROP, ())
    assert look(certs).now == f"Stage issue: everybody trusts {OLD} and {NEW}; {NEW} issues."
    for identity in IDENTITIES:
        assert roots(certs, identity.name) == [OLD, NEW]
        assert issuer(certs, identity.name) == "video-demo.test issuing CA 2"

    step(certs, Stage.DROP)
    assert look(certs).next is Stage.TRUST
    for identity in IDENTITIES:
        assert roots(certs, identity.name) == [NEW]
        assert len(parse_crls((certs / identity.name / "revoked.crl").read_bytes())) == 1
    assert [path.name for path in (certs / "offline-root").iterdir()] == ["2"]
    assert {path.name for path in (certs / "ca").iterdir()} == {"2", "issued.json", "revoked.crl"}
    assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_all_stages_are_renewed_in(certs: Path) -> None:
    for stage in Stage:
        step(certs, stage)
        before = read_identity(certs / "probe").leaf.serial_number
        bootstrap(certs, Options(IDENTITIES, again=True))
        assert read_identity(certs / "probe").leaf.serial_number != before
        assert bootstrap(certs, Options(IDENTITIES)).changes == ()


def test_whoever_reads_a_folder_at_any_moment_finds_a_usable_identity(certs: Path) -> None:
    failures: list[str] = []
    seen: set[tuple[int, bytes]] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                identity = load_identity(certs / "gateway", roles=frozenset())
                seen.add((identity.certificate.serial_number, identity.ca_pem))
            except (IdentityError, ValueError) as error:
                failures.append(str(error))

    def is_seen() -> bool:
        leaf = read_identity(certs / "gateway").leaf
        return (leaf.serial_number, (certs / "gateway/ca-certificate.crt").read_bytes()) in seen

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wait_until(is_seen, reader)
        for stage in Stage:
            step(certs, stage)
            wait_until(is_seen, reader)
    finally:
        done.set()
        reader.join()
    assert failures == []
    assert len(seen) >= 4  # before, and after each stage


def wait_until(holds: Callable[[], bool], reader: threading.Thread) -> None:
    """Return when the reader has got that far."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert reader.is_alive()
        assert time.monotonic() < deadline


def test_any_two_services_can_talk_though_one_is_a_stage_behind(
    certs: Path, tmp_path: Path
) -> None:
    """Each service loads its folder when it comes to it, so neighbouring stages have to meet."""
    folders = [shutil.copytree(certs, tmp_path / "0")]
    for stage in Stage:
        step(certs, stage)
        folders.append(shutil.copytree(certs, tmp_path / stage))
    for before, after in pairwise(folders):
        for server, client in ((before, after), (after, before)):
            handshake(server=server / "video-queue", client=client / "gateway")
    with pytest.raises(ssl.SSLCertVerificationError):  # why the order matters
        handshake(server=folders[0] / "video-queue", client=folders[2] / "gateway")


def test_openssl_accepts_the_leaf_of_either_ca_with_the_lists_of_both(certs: Path) -> None:
    for stage in (Stage.TRUST, Stage.ISSUE):
        step(certs, stage)
        assert openssl_says(certs / "gateway") == ""


def test_who_is_revoked_stays_so_until_the_ca_is_dropped(certs: Path) -> None:
    stolen = read_identity(certs / "gateway").leaf.serial_number
    revoke(certs, Options(IDENTITIES), "gateway")
    for stage, expected in (
        (Stage.TRUST, [{stolen: None}, {}]),
        (Stage.ISSUE, [{stolen: None}, {}]),
        (Stage.DROP, [{}]),
    ):
        step(certs, stage)
        crls = parse_crls((certs / "probe" / "revoked.crl").read_bytes())
        assert [revoked_in(crl) for crl in crls] == expected


def test_a_leaf_of_each_ca_is_revoked_in_its_own_list(certs: Path) -> None:
    old = read_identity(certs / "gateway").leaf.serial_number
    step(certs, Stage.TRUST)
    step(certs, Stage.ISSUE)
    new = read_identity(certs / "gateway").leaf.serial_number
    revoke(certs, Options(IDENTITIES), "gateway")
    crls = parse_crls((certs / "probe" / "revoked.crl").read_bytes())
    assert [revoked_in(crl) for crl in crls] == [{old: None}, {new: None}]


@pytest.mark.parametrize(
    ("done", "asked", "due"),
    [
        ([], "issue", "trust"),
        ([], "drop", "trust"),
        (["trust"], "trust", "issue"),
        (["trust"], "drop", "issue"),
        (["trust", "issue"], "trust", "drop"),
        (["trust", "issue"], "issue", "drop"),
        (["trust", "issue", "drop"], "drop", "trust"),
    ],
)
def test_no_stage_can_be_left_out_or_done_twice(
    certs: Path, done: list[str], asked: str, due: str
) -> None:
    for stage in done:
        step(certs, Stage(stage))
    with pytest.raises(StageNotAllowed, match=f"Stage {asked} is not the next one, {due} is"):
        step(certs, Stage(asked))


def test_a_stage_has_to_wait_until_the_last_one_is_loaded_everywhere(certs: Path) -> None:
    step(certs, Stage.TRUST)
    (obstacle,) = look(certs, dt.timedelta(hours=1)).obstacles
    assert obstacle.endswith("are left of the 1h in which every service loads what changed")
    for stage in (Stage.ISSUE, Stage.DROP):
        with pytest.raises(StageNotAllowed, match="are left of the 1h in which"):
            step(certs, stage, dt.timedelta(hours=1))
        step(certs, stage)


def test_what_changes_in_a_stage_has_to_be_loaded_as_well(certs: Path) -> None:
    step(certs, Stage.TRUST)
    first = read_rollover(certs)
    bootstrap(certs, Options(IDENTITIES))
    assert read_rollover(certs) == first
    (certs / "gateway" / "ca-certificate.crt").unlink()
    bootstrap(certs, Options(IDENTITIES))
    second = read_rollover(certs)
    assert first
    assert second
    assert first.completed
    assert second.completed
    assert second.completed > first.completed


def forget_new_root(certs: Path) -> None:
    path = certs / "gateway" / "ca-certificate.crt"
    old = x509.load_pem_x509_certificates(path.read_bytes())[0]
    path.write_bytes(certificate_pem(old))


def lose_a_list(certs: Path) -> None:
    (certs / "gateway" / "revoked.crl").unlink()


def keep_an_old_leaf(certs: Path) -> None:
    authorities = Authorities.load(certs, now=dt.datetime.now(dt.UTC))
    assert authorities
    issued = authorities.present[0].issue(identity_named("gateway"))
    lists = (certs / "ca" / "revoked.crl").read_bytes()
    write_identity(certs / "gateway", issued, authorities.ca_pem, crl_pem=lists)


def swap_the_key(certs: Path) -> None:
    shutil.copy(certs / "probe" / "private-key.pem", certs / "gateway" / "private-key.pem")


@pytest.mark.parametrize(
    ("stages", "spoil", "message"),
    [
        (1, forget_new_root, "gateway: does not hold the present roots and revocation lists"),
        (1, lose_a_list, "gateway: does not hold the present roots and revocation lists"),
        (1, swap_the_key, "the private key does not fit"),
        (2, keep_an_old_leaf, "gateway: has to be issued, because it was issued by another CA"),
        (2, swap_the_key, "the private key does not fit"),
        (2, forget_new_root, "gateway: does not hold the present roots and revocation lists"),
    ],
)
def test_a_stage_is_refused_while_anything_of_the_last_one_is_missing(
    certs: Path, stages: int, spoil: Callable[[Path], None], message: str
) -> None:
    for stage in list(Stage)[:stages]:
        step(certs, stage)
    following = look(certs).next
    spoil(certs)
    (obstacle,) = look(certs).obstacles
    assert message in obstacle
    with pytest.raises(StageNotAllowed, match=f"Stage {following} is not allowed yet: gateway: "):
        step(certs, following)
    bootstrap(certs, Options(IDENTITIES))
    step(certs, following)


def test_the_root_folder_is_not_needed_to_issue_and_renew(certs: Path) -> None:
    shutil.rmtree(certs / "offline-root")
    step(certs, Stage.TRUST)
    shutil.rmtree(certs / "offline-root")
    step(certs, Stage.ISSUE)
    bootstrap(certs, Options(IDENTITIES, again=True))
    step(certs, Stage.DROP)


def test_the_first_stage_can_be_taken_back(certs: Path) -> None:
    step(certs, Stage.TRUST)
    shutil.rmtree(certs / "ca" / "2")
    shutil.rmtree(certs / "offline-root" / "2")
    before = read_identity(certs / "gateway").leaf
    bootstrap(certs, Options(IDENTITIES))
    assert look(certs).now.startswith(f"No rollover is under way. Everybody trusts {OLD}, until")
    assert roots(certs) == [OLD]
    assert read_identity(certs / "gateway").leaf == before
    step(certs, Stage.TRUST)
    assert roots(certs) == [OLD, NEW]


def test_without_a_ca_there_is_nothing_to_replace(tmp_path: Path) -> None:
    with pytest.raises(StageNotAllowed, match="There is no CA yet"):
        look(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"stage": "later"}'])
def test_a_damaged_state_is_said_and_can_be_written_by_hand(certs: Path, content: bytes) -> None:
    step(certs, Stage.TRUST)
    (certs / "ca" / "rollover.json").write_bytes(content)
    with pytest.raises(AuthorityUnusable, match=r'Write \{"stage": "trust"\} into it'):
        bootstrap(certs, Options(IDENTITIES))
    (certs / "ca" / "rollover.json").write_bytes(b'{"stage": "trust"}')
    bootstrap(certs, Options(IDENTITIES))
    step(certs, Stage.ISSUE)


def test_the_next_one_is_number_three(certs: Path) -> None:
    for stage in (*Stage, *Stage):
        step(certs, stage)
    assert roots(certs) == [f"{OLD} 3"]


def test_on_the_command_line(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    run()
    told = run("rotate-ca")
    assert told.stdout.splitlines()[1:] == [
        "Next: rotate-ca trust makes a new CA, which everybody trusts beside the old one.",
        "It is allowed.",
    ]
    assert run("rotate-ca", "trust").returncode == 0
    refused = run("rotate-ca", "issue", "--load-time", "1h")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("bootstrap_certs: Stage issue is not allowed yet: ")
    assert run("rotate-ca", "issue", "--load-time", "0s").returncode == 0
