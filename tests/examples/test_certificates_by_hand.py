"""docs/certificates-by-hand.md and the-usual-tutorial.md tell the truth.

And what by_hand.sh makes is accepted by all.
"""

import ipaddress
import re
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.examples.certificates import BY_HAND, CLIENT, issue, make_by_hand
from tests.examples.programs import LANGUAGES, missing
from tests.examples.verdicts import (
    PAGE,
    TABLES,
    Kit,
    by_common_name,
    kit,
    table,
    tutorial_commands,
    versions,
)
from tests.pages import ROOT, blocks_of, steps_of
from tests.unit.pki.verifiers import shake_hands

TUTORIAL = PAGE.read_text(encoding="utf-8")
BY_HAND_PAGE = ROOT / "docs" / "certificates-by-hand.md"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
KEYS = {"ec": ec.EllipticCurvePrivateKey, "rsa": rsa.RSAPrivateKey}


def normalised(output: str) -> str:
    output = re.sub(r"\b([A-Z]+) = ", r"\1=", output)  # names, up to OpenSSL 3.1
    return re.sub(r" +$", "", output, flags=re.MULTILINE).strip()


@pytest.mark.parametrize("page", [PAGE, BY_HAND_PAGE], ids=lambda page: page.name)
def test_every_command_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["bash", "-euc", tutorial_commands()], cwd=tmp_path, check=True, capture_output=True
    )
    typed = steps_of(page)
    assert len(typed) >= 4
    for step in typed:
        ended = subprocess.run(
            ["sh", "-c", re.sub(r"^by_hand\.sh", f"sh {BY_HAND}", step.command)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert normalised(ended.stdout) == normalised(step.output), step.command


def test_what_the_page_explains_is_in_the_script() -> None:
    script = BY_HAND.read_text()
    excerpts = blocks_of(BY_HAND_PAGE, "sh")
    assert len(excerpts) >= 5
    for excerpt in excerpts:
        for line in excerpt.text.splitlines():
            assert line in script, line


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    if reason := "; ".join(filter(None, map(missing, LANGUAGES))):
        pytest.skip(reason)
    with kit(tmp_path_factory.mktemp("kit")) as made:
        yield made


@pytest.mark.parametrize("name", TABLES)
def test_every_library_says_what_the_table_says(made: Kit, name: str) -> None:
    seen = table(name, made)
    heading = seen.partition("\n")[0]
    (shown,) = re.findall(rf"^{re.escape(heading)}\n(?:\|.*\n)+", TUTORIAL, re.MULTILINE)
    assert [facts(row) for row in shown.splitlines()] == [facts(row) for row in seen.splitlines()]
    if versions() not in TUTORIAL:
        pytest.skip(f"the facts hold; the page's words are not those of {versions()}")
    assert shown.strip() == seen


def facts(row: str) -> list[str]:
    """Return the cells without the words after `no:`."""
    return [cell.partition(":")[0] if "no:" in cell else cell.strip() for cell in row.split("|")]


def test_node_and_python_take_the_common_name_where_the_san_has_no_dns_name(made: Kit) -> None:
    """The twin has another common name, and is refused by all."""
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    taken, refused = (
        by_common_name(
            made,
            issue(
                made.folder / "by-hand",
                name,
                names=[address],
                subject=name,
                purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            ),
        )
        for name in ("localhost", "other")
    )
    assert taken == {"Node.js": True, "Python": True, "Go": False, "curl": False}
    assert not any(refused.values())


@pytest.mark.parametrize("key_type", ["ec", "rsa"])
def test_keys_are_of_the_type_and_nobody_else_can_read_them(key_type: str, tmp_path: Path) -> None:
    folder = make_by_hand(tmp_path / "made", key_type)
    for path in (folder, *folder.rglob("*")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    for name in ("ca/ca-private-key.pem", "server/private-key.pem", "client/private-key.pem"):
        key = load_pem_private_key((folder / name).read_bytes(), None)
        assert isinstance(key, KEYS[key_type])
    sides = (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    server, client = map(strict_context, (folder / "server", folder / "client"), sides)
    shown = shake_hands(server, client, "localhost").getpeercert()
    assert shown
    assert ("URI", CLIENT) in shown["subjectAltName"]


def strict_context(folder: Path, side: int) -> ssl.SSLContext:
    """As strict as Python 3.13 is, with the file in which key and certificate are joined."""
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(folder / "ca-certificate.crt")
    context.load_cert_chain(folder / "key-pair.pem")
    return context


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = make_by_hand(tmp_path / "made")
    before = (folder / "ca" / "ca-private-key.pem").read_bytes()
    again = subprocess.run(["sh", BY_HAND, folder], capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "File exists" in again.stderr
    assert (folder / "ca" / "ca-private-key.pem").read_bytes() == before


def test_a_browser_gets_key_certificate_and_ca(tmp_path: Path) -> None:
    client = make_by_hand(tmp_path / "made") / "client"
    password = (client / "password.txt").read_bytes().strip()
    assert len(password) == 20
    imported = load_pkcs12((client / "client.p12").read_bytes(), password)
    leaf = x509.load_pem_x509_certificate((client / "certificate.crt").read_bytes())
    ca = x509.load_pem_x509_certificate((client / "ca-certificate.crt").read_bytes())
    assert imported.key
    assert imported.cert
    assert imported.cert.certificate == leaf
    assert [each.certificate for each in imported.additional_certs] == [ca]
    with pytest.raises(ValueError, match="password"):
        load_pkcs12((client / "client.p12").read_bytes(), b"another")
