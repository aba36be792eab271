"""Whenever a run is killed, and however many run at once, the next one leaves all in order."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

from mtls.identity import load_identity

import pytest

from demo_identities import IDENTITIES
from pki import store
from pki.bootstrap import bootstrap
from pki.crl import parse_crls, revoked_in
from pki.errors import FolderBusy
from pki.identity_folder import read_identity
from pki.revoke import revoke
from pki.rollover import progress, rotate
from pki.rollover_state import Stage
from pki.run import Options
from pki.store import locked
from tests.unit.pki.programs import SECONDS, ended
from tests.unit.pki.verifiers import handshake

FILES = 6 + 6 * len(IDENTITIES)
# What a first run renames: a file and its folder for the root's key, three and theirs for the CA,
# the record, the lists, and for each identity five files and a copy. A fresh start moves two
# folders away.
RENAMES = 2 + 4 + 2 + 6 * len(IDENTITIES)

# Nothing in the folder changes but by a rename, so a process that dies before each of them in turn
# has died at every moment that matters.
DIES_BEFORE_RENAME = """
import os, pathlib, signal, sys
import bootstrap_certs

rename, left = pathlib.Path.rename, int(sys.argv[1])

def counted(path, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(path, target)

pathlib.Path.rename = counted
sys.exit(bootstrap_certs.main(sys.argv[2:]))
"""
HOLDS_THE_LOCK = """
import pathlib, sys
from pki.store import locked

with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


class Killed(BaseException):
    """The process ends here."""


def run_until_rename(
    count: int, run: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run until the rename of that number, from 0."""
    renames = iter(range(count))
    rename = Path.rename

    def counted(path: Path, target: Path) -> Path:
        if next(renames, None) is None:
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted)
        with pytest.raises(Killed):
            run()


def assert_next_run_heals(folder: Path) -> None:
    bootstrap(folder, Options(IDENTITIES))
    assert bootstrap(folder, Options(IDENTITIES)).changes == ()
    names = [path.name for path in folder.rglob("*")]
    assert (
        len([name for name in names if name.endswith((".crt", ".pem", ".crl", ".json"))]) == FILES
    )
    assert not [name for name in names if name.startswith(".")]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.mark.parametrize("count", [*range(8 + 2 * 5), RENAMES - 1])
def test_a_first_run_may_stop_before_any_rename(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_rename(count, lambda: bootstrap(tmp_path, Options(IDENTITIES)), monkeypatch)
    assert_next_run_heals(tmp_path)


@pytest.mark.parametrize("count", [*range(10 + 2 * 5), RENAMES + 1])
def test_a_fresh_start_may_stop_before_any_rename(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap(tmp_path, Options(IDENTITIES))
    run_until_rename(
        count, lambda: bootstrap(tmp_path, Options(IDENTITIES, force=True)), monkeypatch
    )
    assert_next_run_heals(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 5, 6, 8, 20])
def test_a_process_may_be_killed(tmp_path: Path, count: int, environment: dict[str, str]) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_RENAME, str(count), "--folder", tmp_path],
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert any(path.name.startswith(".unfinished-") for path in tmp_path.rglob("*"))
    assert_next_run_heals(tmp_path)


# A rollover's first stage makes a CA (6 renames), signs the lists, gives each identity both, and
# says that it is complete; the second says what it wants before it issues; the third discards two
# folders at its end.
STAGE_RENAMES = {
    Stage.TRUST: 6 + 1 + 2 * len(IDENTITIES) + 1,
    Stage.ISSUE: 1 + 1 + 6 * len(IDENTITIES) + 1,
    Stage.DROP: 1 + 1 + 2 * len(IDENTITIES) + 2,
}
AT_ONCE = dt.timedelta(0)
FINISHERS = ("the same command", "a plain run")


@pytest.mark.parametrize(
    ("stage", "count", "by"),
    [
        (stage, count, by)
        for stage, last in STAGE_RENAMES.items()
        for count, by in zip((0, 1, 5, 6, 7, 8, 10, last - 1), cycle(FINISHERS), strict=False)
    ],
)
def test_a_stage_of_a_rollover_may_stop_before_any_rename(
    certs: Path, stage: Stage, count: int, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for earlier in list(Stage)[: list(Stage).index(stage)]:
        rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), earlier)
    run_until_rename(
        count, lambda: rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), stage), monkeypatch
    )
    for identity in IDENTITIES:  # a service that is restarted now comes up
        load_identity(certs / identity.name, roles=frozenset())
        if stage is Stage.ISSUE:  # others may show the leaf of either CA
            roots = (certs / identity.name / "ca-certificate.crt").read_bytes()
            assert roots.count(b"BEGIN CERTIFICATE") == 2
    handshake(server=certs / "video-queue", client=certs / "gateway")
    if by == "a plain run":
        bootstrap(certs, Options(IDENTITIES))
    stages = list(Stage)[list(Stage).index(stage) :]
    if (
        progress(certs, Options(IDENTITIES, load_time=AT_ONCE), on_wait=lambda: None).next
        is not stage
    ):
        stages.pop(0)
    for left in stages:
        rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), left)
    assert sorted(path.name for path in (certs / "ca").iterdir()) == [
        "2",
        "issued.json",
        "revoked.crl",
    ]
    assert [path.name for path in (certs / "offline-root").iterdir()] == ["2"]
    assert_next_run_heals(certs)


@pytest.mark.parametrize("by", ["a plain run", "the next rollover"])
def test_the_last_stage_may_stop_when_only_its_note_is_left(certs: Path, by: str) -> None:
    for stage in Stage:
        rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), stage)
    note = certs / "ca" / "rollover.json"
    note.write_text('{"stage": "drop"}')
    if by == "a plain run":
        bootstrap(certs, Options(IDENTITIES))
        assert not note.exists()
        return
    rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), Stage.TRUST)
    roots = (certs / "gateway" / "ca-certificate.crt").read_bytes()
    assert roots.count(b"BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_takes_as_many_renames_as_are_tried(
    certs: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for earlier in list(Stage)[: list(Stage).index(stage)]:
        rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), earlier)
    run_until_rename(
        STAGE_RENAMES[stage] - 1,
        lambda: rotate(certs, Options(IDENTITIES, load_time=AT_ONCE), stage),
        monkeypatch,
    )


# Revoking writes the record, then the new leaf's line in it, the list, five files for the
# identity and two for each of the others.
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 18, 19])
def test_a_revocation_may_stop_before_any_rename(
    certs: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = read_identity(certs / "gateway").leaf.serial_number
    run_until_rename(count, lambda: revoke(certs, Options(IDENTITIES), "gateway"), monkeypatch)
    if count:
        bootstrap(certs, Options(IDENTITIES))
    else:
        revoke(certs, Options(IDENTITIES), "gateway")
    (crl,) = parse_crls((certs / "probe" / "revoked.crl").read_bytes())
    assert revoked_in(crl) == {old: None}
    assert read_identity(certs / "gateway").leaf.serial_number != old
    assert_next_run_heals(certs)


def test_runs_at_once_take_turns_and_only_the_first_has_work(
    tmp_path: Path, command: list[str]
) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    with ExitStack() as until_they_end:
        with locked(folder):
            runs = [
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(3)
            ]
            for run in runs:
                until_they_end.enter_context(ended(run))
            for run in runs:
                assert run.stderr is not None
                assert "Another run holds" in run.stderr.readline()
            assert list(folder.iterdir()) == []
        outputs = [run.communicate(timeout=SECONDS)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert sorted(output.startswith("ca: made") for output in outputs) == [False, False, True]
    assert sorted(output.startswith("Nothing to do") for output in outputs) == [False, True, True]
    assert bootstrap(folder, Options(IDENTITIES)).changes == ()


def test_the_lock_of_a_killed_run_is_lifted(tmp_path: Path, environment: dict[str, str]) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with ended(holder):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        waited: list[bool] = []

        def kill_it() -> None:
            waited.append(True)
            holder.kill()

        with locked(tmp_path, on_wait=kill_it):
            assert waited == [True]


def test_waiting_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOCK_TIMEOUT", 0.1)
    with locked(tmp_path), pytest.raises(FolderBusy, match="end it"), locked(tmp_path):
        pass
