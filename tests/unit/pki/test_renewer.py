"""The renewer renews what is due, outlives every error that passes, and ends when it is told to."""

import datetime as dt
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bootstrap_certs
from bootstrap_certs import main
from demo_identities import identity_named
from pki.arguments import parse_duration
from pki.ca_folder import load_authorities
from pki.identity_folder import read_identity, renewal_due, write_identity
from pki.renewer import longest_interval
from pki.store import locked
from tests.unit.pki.programs import SECONDS, ended

GATEWAY = identity_named("gateway")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.+)\n")


@contextmanager
def renewer(certs: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run it, with a check every second, until the end of the block."""
    process = subprocess.Popen(
        [
            *(sys.executable, bootstrap_certs.__file__, "--folder", certs, "--localhost"),
            *("renew", "--every", "1s", *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended(process):
        yield process


def said(process: subprocess.Popen[str], *, error: bool = False) -> str:
    """Return its next line, without the time."""
    stream = process.stderr if error else process.stdout
    assert stream is not None
    line = stream.readline()
    match = LINE.fullmatch(line)
    assert match, line or "it has ended, or said nothing for a minute"
    return match[1]


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Send a signal; return the exit code and what was said after it."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS)
    assert errors == ""
    return process.returncode, output


def test_issues_again_what_is_due_and_says_so_in_one_line(certs: Path) -> None:
    with renewer(certs) as process:
        assert said(process) == "renewer: checks every 1s, leaves live 24h"
        before = read_identity(certs / "gateway").leaf
        (certs / "gateway" / "key-pair.pem").unlink()
        assert re.fullmatch(
            r"gateway: issued again, valid until .* UTC, because key-pair.pem is missing",
            said(process),
        )
        code, rest = stop(process)
    assert code == 0
    assert re.sub(LINE, r"\1;", rest) == "renewer: stopped;"
    assert read_identity(certs / "gateway").leaf != before


def test_a_leaf_is_issued_again_when_its_time_has_come(certs: Path) -> None:
    """Nothing but time passes."""
    (authority,) = load_authorities(certs, now=dt.datetime.now(dt.UTC))
    short = authority.issue(GATEWAY, life=dt.timedelta(seconds=3))
    crl_pem = (certs / "ca" / "revoked.crl").read_bytes()
    write_identity(certs / "gateway", short, authority.ca_pem, crl_pem=crl_pem)
    with renewer(certs) as process:
        said(process)
        line = said(process)
    assert line.startswith("gateway: issued again, ")
    assert line.endswith("because less than a third of its life is left")
    assert dt.datetime.now(dt.UTC) > renewal_due(short.certificate)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_when_told_to_though_it_waits_for_another_run(
    certs: Path, number: int
) -> None:
    with locked(certs), renewer(certs) as process:
        said(process)
        assert stop(process, number)[0] == 0


def test_a_full_disk_is_told_leaves_no_partial_file_and_passes(certs: Path) -> None:
    with renewer(certs) as process:
        said(process)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, -1))  # bytes of a file
        before = read_identity(certs / "probe").chain_pem
        key_pair = certs / "gateway" / "key-pair.pem"
        key_pair.unlink()
        for _ in range(2):
            assert said(process, error=True).endswith(
                "File too large. Fix that and run this again: it continues from there."
            )
        assert not key_pair.exists()
        assert read_identity(certs / "probe").chain_pem == before
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert said(process).startswith("gateway: issued again, ")
        assert key_pair.read_bytes()
    assert not [path for path in certs.rglob("*") if path.name.startswith(".")]


def test_a_damaged_file_is_told_and_tried_again(certs: Path) -> None:
    key = certs / "ca" / "1" / "issuing-private-key.pem"
    good = key.read_bytes()
    key.write_bytes(b"noise")
    with renewer(certs) as process:
        said(process)
        assert "issuing-private-key.pem is missing or damaged" in said(process, error=True)
        (certs / "gateway" / "key-pair.pem").unlink()
        key.write_bytes(good)
        assert said(process).startswith("gateway: issued again, ")


def test_works_without_the_folder_of_the_root(certs: Path) -> None:
    shutil.rmtree(certs / "offline-root")
    with renewer(certs) as process:
        said(process)
        (certs / "gateway" / "key-pair.pem").unlink()
        assert said(process).startswith("gateway: issued again, ")
    assert not (certs / "offline-root").exists()


@pytest.mark.parametrize(
    ("life", "every"), [("30s", "3s"), ("60s", "6s"), ("9m", "1m"), ("24h", "1m"), ("89d", "1m")]
)
def test_checks_at_least_three_times_in_the_third_of_a_life_that_is_left(
    life: str, every: str
) -> None:
    assert longest_interval(parse_duration(life)) == parse_duration(every)


def test_refuses_to_check_too_rarely(certs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(certs), "renew", "--leaf-life", "60s", "--every", "7s"]) == 1
    assert "give `--every 6s` or less" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["0s", "2h", "soon"])
def test_refuses_an_interval_that_is_none(
    certs: Path, every: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", str(certs), "renew", "--every", every])
    assert every in capsys.readouterr().err


def test_check_says_what_is_not_in_order_and_changes_nothing(
    certs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(certs), "--localhost", "check"]) == 0
    assert capsys.readouterr().out == "All is in order.\n"
    path = certs / "gateway" / "revoked.crl"
    path.unlink()
    assert main(["--folder", str(certs), "--localhost", "check"]) == 1
    assert (
        capsys.readouterr().out == "gateway: does not hold the present roots and revocation lists\n"
    )
    assert not path.exists()
    assert main(["--folder", str(certs / "nowhere"), "check"]) == 1
    assert not (certs / "nowhere").exists()
