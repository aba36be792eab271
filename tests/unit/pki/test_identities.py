"""identities.toml says who there is; whatever else it holds is refused with the reason."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_identities import FILE
from pki.authority import Authority
from pki.errors import IdentitiesUnusable
from pki.identities import CLIENT, SERVER, Identities, load_identities
from pki.layout import IDENTITY_FILES

GREETER = """
trust_domain = "greeter.test"

[[identity]]
name = "greeter"
use = ["server"]
dns_names = ["greeter", "greeter.example.test"]
purpose = "says hello"

[[identity]]
name = "people/ann"
use = ["client"]
person = true
purpose = "asks"
"""


def load(folder: Path, content: str | bytes) -> Identities:
    path = folder / "identities.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_identities(path)


def complaint(folder: Path, content: str | bytes) -> str:
    with pytest.raises(IdentitiesUnusable) as caught:
        load(folder, content)
    told = str(caught.value)
    assert told.startswith(f"{folder}/identities.toml cannot be used: ")
    assert told.endswith(". Correct it.")
    assert "\n" not in told
    return told


def test_what_the_file_says_is_what_there_is(tmp_path: Path) -> None:
    greeter, ann = load(tmp_path, GREETER)
    assert greeter.uri == "spiffe://greeter.test/greeter"
    assert (greeter.ekus, greeter.is_person) == ((SERVER,), False)
    assert greeter.dns_names == ("greeter", "greeter.example.test")
    assert ann.uri == "spiffe://greeter.test/people/ann"
    assert (ann.ekus, ann.dns_names, ann.is_person) == ((CLIENT,), (), True)


def test_the_demos_own_table() -> None:
    """docker compose publishes the gateway alone, so nobody else is `localhost`."""
    identities = load_identities(FILE)
    assert identities.trust_domain == "video-demo.test"
    assert {each.name: each.dns_names for each in identities if each.dns_names} == {
        "video-queue": ("video-queue",),
        "gateway": ("gateway", "localhost"),
    }
    assert [each.name for each in identities.persons] == ["client/uploader", "client/viewer"]


def test_local_processes_share_a_name(tmp_path: Path) -> None:
    greeter, ann = load(tmp_path, GREETER).with_localhost()
    assert greeter.dns_names == ("greeter", "greeter.example.test", "localhost")
    assert ann.dns_names == ()
    local = load_identities(FILE).with_localhost()
    assert local.named("gateway").dns_names == ("gateway", "localhost")
    assert local.named("video-queue").dns_names == ("video-queue", "localhost")


def test_another_system_needs_no_line_of_code(
    tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    load(tmp_path, GREETER)
    made = run("--identities", str(tmp_path / "identities.toml"))
    assert (made.returncode, made.stderr) == (0, "")
    certs = tmp_path / "certs"
    folders = {path.parent.relative_to(certs).as_posix() for path in certs.rglob("key-pair.pem")}
    assert folders == {"greeter", "people/ann"}
    for path in filter(Path.is_file, certs.rglob("*")):
        assert b"video" not in path.read_bytes(), path
    exported = run("--identities", str(tmp_path / "identities.toml"), "--pkcs12")
    assert "people/ann: client.p12 written" in exported.stdout
    assert {path.name for path in (certs / "people" / "ann").iterdir()} == {
        file.name for file in IDENTITY_FILES
    }


def test_names_are_signed_as_long_as_they_may_be(tmp_path: Path) -> None:
    """The longest that are taken fit into a certificate."""
    long = GREETER.replace("greeter.test", f"{'d' * 40}.test").replace(
        "people/ann", f"{'p' * 32}/{'a' * 31}"
    )
    identities = load(tmp_path, long)
    authority = Authority.create(identities, generation=99)
    for identity in identities:
        assert authority.issue(identity).certificate.not_valid_after_utc


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('trust_domain = "greeter.test"', "", "trust_domain is missing"),
        ('"greeter.test"', '"Greeter.test"', "trust_domain is 'Greeter.test'; it must be a name"),
        ('"greeter.test"', '"spiffe://greeter.test"', "it must be a name such as example.test"),
        ('"greeter.test"', f'"{"d" * 46}"', "at most 45 characters"),
        ('"greeter.test"', "1", "trust_domain is 1"),
        ('"greeter.test"', '"greeter.test"\ncolour = 1', "it holds 'colour', which means nothing"),
        ('name = "greeter"', "", "number 1: name is missing"),
        ('name = "people/ann"', 'nane = "people/ann"', "number 2: name is missing"),
        ('"people/ann"', '"people/../ca"', "number 2: name is 'people/../ca'; it must be a name"),
        ('"people/ann"', '"/etc"', "name is '/etc'"),
        ('"people/ann"', '"ann."', "name is 'ann.'"),
        ('"people/ann"', '""', "name is ''"),
        ('"people/ann"', '"ann\\u202e"', "name is 'ann\\u202e'"),
        ('"people/ann"', f'"{"a" * 65}"', "at most 64 characters"),
        ('"people/ann"', '"ca"', "the folder ca is the CA's"),
        ('"people/ann"', '"offline-root/ann"', "the folder offline-root/ann is the CA's"),
        ('"people/ann"', '"greeter"', "two identities have the name 'greeter'"),
        ('"people/ann"', '"greeter/ann"', "greeter/ann would lie in the folder of greeter"),
        ('["server"]', '["sever"]', "use is ['sever']; it must be a list of server or client"),
        ('["server"]', "[]", "use is []; it must be a list of server or client, or both"),
        ('["server"]', '"server"', "use is 'server'; it must be a list of strings"),
        ('["server"]', '["server", "server"]', "none of them twice"),
        ('["greeter", "greeter.example.test"]', "[]", "is a server and has no dns_names"),
        ('"greeter.example.test"', '"*.test"', "'*.test' in dns_names is not a host name"),
        ('"greeter.example.test"', '"127.0.0.1"', "and be no IP address"),
        ('"greeter.example.test"', '"::1"', "and be no IP address"),
        ('"greeter.example.test"', '"greeter."', "'greeter.' in dns_names"),
        ('"greeter.example.test"', '"Greeter"', "'Greeter' in dns_names"),
        ('"greeter.example.test"', f'"{"a" * 64}"', "in dns_names is not a host name"),
        ('"greeter.example.test"', f'"{"a." * 127}a"', "in dns_names is not a host name"),
        ('"greeter.example.test"', '"greeter"', "none of them twice"),
        (
            '"greeter.example.test"',
            '"' + '","'.join(f"h{i}" for i in range(20)) + '"',
            "at most 20",
        ),
        ("person = true", 'dns_names = ["ann"]', "has dns_names and is no server"),
        ("person = true", 'person = "yes"', "person is 'yes'; it must be true or false"),
        ('"asks"', '"a\\nb"', "purpose is 'a\\nb'; it must be one line of text"),
        ('"asks"', f'"{"x" * 201}"', "purpose is longer than 200 characters"),
        ("[[identity]]", "[[identities]]", "identity is missing"),
        ("person = true", "person = true\n[x]", "it holds 'x', which means nothing"),
        ('use = ["client"]', 'use = ["client"', "(at line"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert load(tmp_path, GREETER)
    assert old in GREETER
    assert message in complaint(tmp_path, GREETER.replace(old, new))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "identity is missing"),
        (b"\xff", "invalid start byte"),
        (b'trust_domain = "a.test"\nidentity = 1', "it must have 1 to 100 tables"),
        (b'trust_domain = "a.test"\nidentity = [1]', "number 1: it is 1, and must be a table"),
        (b"a = " + b"1" * 5000, "Exceeds the limit"),
        (b"a = " + b"[" * 5000, "recursion"),
        (b"#" * (64 * 1024 + 1), "it is larger than 64 KiB"),
    ],
)
def test_any_other_content_is_an_error_and_not_a_crash(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in complaint(tmp_path, content)


def test_there_may_be_a_hundred(tmp_path: Path) -> None:
    def table(count: int) -> str:
        rows = (
            f'[[identity]]\nname = "i{number}"\nuse = ["client"]\npurpose = "x"\n'
            for number in range(count)
        )
        return 'trust_domain = "a.test"\n' + "".join(rows)

    assert len(load(tmp_path, table(100))) == 100
    assert "1 to 100 tables" in complaint(tmp_path, table(101))


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    ended = run("--identities", str(tmp_path / "nowhere.toml"))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"bootstrap_certs: {tmp_path}/nowhere.toml cannot be read (No ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "certs").exists()


@given(st.binary(max_size=200))
def test_noise_fails_in_one_way_only(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    with pytest.raises(IdentitiesUnusable):
        load(tmp_path_factory.getbasetemp(), GREETER.encode() + b"\n" + noise + b"\nx = 1")
