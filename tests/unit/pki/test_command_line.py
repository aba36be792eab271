"""What a person types, and what they are told."""

import datetime as dt
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

import bootstrap_certs
from bootstrap_certs import main
from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import read_identity, write_identity
from pki.layout import CA_FILES, COMMON_CA_FILES, IDENTITY_FILES, OFFLINE_FILES
from pki.show import certificates_table

ALL_FILES = (*CA_FILES, *COMMON_CA_FILES, *OFFLINE_FILES, *IDENTITY_FILES)
CERTS = Path(bootstrap_certs.__file__).parent.parent / "certs"


@pytest.fixture
def certs(tmp_path: Path) -> str:
    return str(tmp_path / "certs")


def test_runs_as_a_program_without_pythonpath_and_the_second_time_has_nothing_to_do(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    first, second = run(), run()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("ca: made a root CA and an issuing CA\nrevoked.crl: signed, ")
    assert first.stdout.count(": issued, ") == len(IDENTITIES)
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.startswith("Nothing to do: ")
    assert second.stdout.count("\n") == 1


def test_tells_which_file_may_be_given_to_whom(
    certs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--folder", certs])
    printed = capsys.readouterr().out
    for file in ALL_FILES:
        assert f"/{file.name}" in printed
        assert file.belongs in printed
    for identity in IDENTITIES:
        assert f"{identity.name}/ " in printed


@pytest.mark.parametrize("life", ["29s", "0m", "90d", "2161h"])
def test_refuses_a_leaf_life_that_is_not_30_seconds_to_89_days(
    certs: str, life: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", certs, f"--leaf-life={life}"])
    assert f"{life} is not 30s to 89d" in capsys.readouterr().err
    assert not Path(certs).exists()


@pytest.mark.parametrize("life", ["30", "d", "-1d", "1.5d", "1w", "\u0663d", "1d ", "", "1d2h"])
def test_refuses_a_leaf_life_that_is_no_number_with_a_unit(
    certs: str, life: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", certs, f"--leaf-life={life}"])
    assert "is not a number with a unit, such as 90s, 30m, 24h or 30d" in capsys.readouterr().err
    assert not Path(certs).exists()


@pytest.mark.parametrize("user", ["root", "-1", "", str(2**31)])
def test_refuses_a_service_owner_that_is_not_the_number_of_a_user(
    certs: str, user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", certs, f"--service-owner={user}"])
    assert "is not the number of a user" in capsys.readouterr().err


@pytest.mark.parametrize("life", ["30s", "89d"])
def test_takes_the_shortest_and_the_longest_leaf_life(certs: str, life: str) -> None:
    assert main(["--folder", certs, "--leaf-life", life]) == 0


def test_what_belongs_to_all_commands_may_stand_before_and_behind(certs: str) -> None:
    assert main(["--folder", certs, "--leaf-life", "30d", "renew", "--now"]) == 0
    assert main(["renew", "--now", "--leaf-life", "30d", "--folder", certs]) == 0
    left = read_identity(Path(certs) / "probe").leaf.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert left > dt.timedelta(days=29)


def test_the_password_of_the_browsers_file_is_shown_once(
    certs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--folder", certs, "--pkcs12"])
    (password,) = re.findall("its password, shown only now: (.+)", capsys.readouterr().out)
    content = (Path(certs) / "client" / "uploader" / "client.p12").read_bytes()
    assert load_pkcs12(content, password.encode()).key
    main(["--folder", certs])
    assert password not in capsys.readouterr().out
    assert (Path(certs) / "client" / "uploader" / "client.p12").read_bytes() == content


def test_makes_no_browser_file_for_a_service(
    certs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", certs, "--pkcs12", "client/viewer"]) == 0
    assert main(["--folder", certs, "--pkcs12", "gateway"]) == 1
    told = capsys.readouterr().err
    assert "gateway is none" in told
    assert "client/uploader, client/viewer" in told


def test_says_what_to_do_about_an_unusable_ca(
    certs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--folder", certs])
    (Path(certs) / "ca" / "1" / "issuing-private-key.pem").unlink()
    capsys.readouterr()
    assert main(["--folder", certs]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "issuing-private-key.pem is missing" in told.err
    assert "--force" in told.err
    assert told.err.count("\n") == 1
    assert main(["--folder", certs, "--force"]) == 0


@pytest.mark.parametrize("command", [["revoke", "gateway"], ["rotate-ca"], ["rotate-ca", "trust"]])
def test_a_command_that_needs_a_ca_makes_no_folder(
    certs: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", certs, *command]) == 1
    assert capsys.readouterr().err.startswith(f"bootstrap_certs: {certs}: No such file")
    assert not Path(certs).exists()


def test_says_that_the_folder_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--folder", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith(f"bootstrap_certs: {tmp_path}/file: File exists. ")


def test_show_makes_nothing(certs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", certs, "--show"]) == 0
    assert "No such file" in capsys.readouterr().out
    assert not Path(certs).exists()


def test_show_tells_names_ekus_and_what_is_left(tmp_path: Path, authority: Authority) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    gateway, probe = identity_named("gateway"), identity_named("probe")
    in_ten_days, yesterday = now + dt.timedelta(days=10), now - dt.timedelta(days=1)
    for issued in (
        (gateway, authority.issue(gateway, not_after=in_ten_days)),
        (probe, authority.issue(probe, not_after=yesterday)),
    ):
        write_identity(tmp_path / issued[0].name, issued[1], authority.ca_pem)
    (tmp_path / "console").mkdir()
    (tmp_path / "console" / "certificate.crt").write_text("noise")
    lines = certificates_table(tmp_path, IDENTITIES, now=now).splitlines()
    rows = {line.split("  ")[0]: re.split(" {2,}", line)[1:] for line in lines}
    assert rows["IDENTITY"] == ["LEFT", "EKU", "NAMES"]
    names = "spiffe://video-demo.test/gateway, gateway, localhost"
    assert rows["gateway"] == ["10.0d", "serverAuth, clientAuth", names]
    assert rows["probe"] == ["expired", "clientAuth", "spiffe://video-demo.test/probe"]
    assert rows["console"] == ["-", "-", "(damaged; run this without --show)"]
    assert rows["video-queue"] == ["-", "-", "(No such file or directory)"]
    assert len(rows) == 1 + 2 + len(IDENTITIES)


def test_the_page_in_certs_names_every_file_and_folder() -> None:
    page = (CERTS / "README.md").read_text()
    for file in ALL_FILES:
        assert f"{file.name}`" in page
    for identity in IDENTITIES:
        assert f"`{identity.name}/`" in page
