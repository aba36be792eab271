"""Each service's user can read its own files, and the owner of the clone owns all the rest."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo_identities import IDENTITIES, identity_named
from local_stack import ROOT
from pki.bootstrap import bootstrap
from pki.errors import FolderUnusable
from pki.ownership import Ownership
from pki.run import Options
from pki.store import Owner

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

HOST = Owner(51001, 51002)
SERVICE = Owner(51003, 51003)
SERVICES = {identity.name for identity in IDENTITIES if not identity.is_person}

# Python's own modules may be closed to that user. The first run, elsewhere, imports all that are
# needed late; an orderly exit would import some more.
AS_THE_HOSTS_USER = f"""
import contextlib, io, os, sys, tempfile
import bootstrap_certs

with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
    bootstrap_certs.main(["--folder", scratch])
os.setgroups([])
os.setgid({HOST.gid})
os.setuid({HOST.uid})
code = bootstrap_certs.main(["--localhost", "--folder", *sys.argv[1:]])
sys.stdout.flush()
os._exit(code)
"""


def owner(path: Path) -> Owner:
    status = path.lstat()
    return Owner(status.st_uid, status.st_gid)


@pytest.fixture
def certs() -> Iterator[Path]:
    """A folder of the host's user, after root has filled it; pytest's are closed to others."""
    options = Options(IDENTITIES, service_owner=SERVICE.uid, pkcs12=identity_named("client/viewer"))
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, HOST.uid, HOST.gid)
        bootstrap(Path(name), options)
        yield Path(name)


def as_the_hosts_user(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as readable:  # root's clone may be closed to that user
        Path(readable).chmod(0o755)
        identities = shutil.copy(ROOT / "identities.toml", readable)
        options = [str(folder), "--identities", identities, *arguments]
        return subprocess.run(
            [sys.executable, "-c", AS_THE_HOSTS_USER, *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def test_services_own_their_files_and_the_host_those_of_people() -> None:
    ownership = Ownership(service=SERVICE, host=HOST)
    owners = {identity.name: ownership.of(identity) for identity in IDENTITIES}
    assert {name for name, owner in owners.items() if owner == SERVICE} == SERVICES
    assert {name for name, owner in owners.items() if owner == HOST} == {
        "client/uploader",
        "client/viewer",
    }
    assert ownership.of(None) == HOST


def test_only_root_may_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(FolderUnusable, match="Only root"):
        bootstrap(tmp_path, Options(IDENTITIES, service_owner=SERVICE.uid))


@needs_root
def test_every_path_has_its_owner(certs: Path) -> None:
    for path in certs.rglob("*"):
        is_service = path.is_file() and path.parent.name in SERVICES
        assert owner(path) == (SERVICE if is_service else HOST), path


@needs_root
def test_owners_are_repaired_when_nothing_is_issued(certs: Path) -> None:
    strays = [certs / "gateway" / "key-pair.pem", certs / "client", certs / "ca"]
    for stray in strays:
        os.chown(stray, 0, 0)
    outcome = bootstrap(certs, Options(IDENTITIES, service_owner=SERVICE.uid))
    assert outcome.changes == ("owners and modes corrected: 3",)
    assert [owner(stray) for stray in strays] == [SERVICE, HOST, HOST]
    assert bootstrap(certs, Options(IDENTITIES, service_owner=SERVICE.uid)).changes == ()


@needs_root
def test_does_not_follow_a_link_to_somebody_elses_file(certs: Path) -> None:
    key = certs / "gateway" / "key-pair.pem"
    victim = certs / "victim"
    victim.write_bytes(key.read_bytes())
    victim.chmod(0o644)
    key.unlink()
    key.symlink_to(victim)
    bootstrap(certs, Options(IDENTITIES, service_owner=SERVICE.uid))
    assert owner(victim) == Owner(0, 0)
    assert victim.stat().st_mode & 0o777 == 0o644


@needs_root
def test_the_hosts_user_needs_no_service_key_to_see_that_all_is_in_order(certs: Path) -> None:
    result = as_the_hosts_user(certs)
    assert (result.returncode, result.stderr) == (0, "")
    told = result.stdout.splitlines()
    rest = "were checked: video-queue, gateway, transcoder, console, probe."
    assert told[0].startswith("Nothing to do: 7 identities are in order")
    assert told[1:] == [
        f"The private keys of these belong to another user, so only their certificates {rest}"
    ]


@needs_root
def test_the_hosts_user_may_issue_everything_again_and_root_then_repairs_the_owners(
    certs: Path,
) -> None:
    result = as_the_hosts_user(certs, "--force")
    assert (result.returncode, result.stderr) == (0, "")
    assert owner(certs / "gateway" / "private-key.pem") == HOST
    bootstrap(certs, Options(IDENTITIES, service_owner=SERVICE.uid))
    assert owner(certs / "gateway" / "private-key.pem") == SERVICE


@needs_root
def test_the_hosts_user_is_told_that_the_folder_is_anothers(certs: Path) -> None:
    os.chown(certs / "ca", 0, 0)
    result = as_the_hosts_user(certs)
    assert result.returncode == 1
    assert result.stderr.startswith(
        f"bootstrap_certs: {certs}/ca: Permission denied. Run this as the owner"
    )
    assert result.stderr.count("\n") == 1
