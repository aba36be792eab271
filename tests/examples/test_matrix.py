"""Every client of examples/ against every server: who is let in, and what the others hear."""

import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.x509 import DNSName, GeneralName, UniformResourceIdentifier

from tests.examples.certificates import CLIENT, issue
from tests.examples.matrix import PAIRS, REFUSALS, SPEAKING, Lab, Pair, Seen, assert_facts, lab
from tests.examples.page import CLOSED, PAGE, client_row, head, server_row, versions, words
from tests.examples.programs import EXAMPLES, LANGUAGES, PROTOCOLS, missing

# Certificates that must not pass for the one that is allowed.
LOOKALIKES: Mapping[str, list[GeneralName]] = {
    "no-san": [],  # its common name is "client"
    "other-kind": [DNSName(CLIENT)],
    "two-uris": [UniformResourceIdentifier(CLIENT), UniformResourceIdentifier(f"{CLIENT}/two")],
    "prefix": [UniformResourceIdentifier(f"{CLIENT}/of/mine")],
    "comma": [DNSName(f"a, URI:{CLIENT}, b")],  # Node shows all names in one string
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("examples")) as here:
        yield here


@pytest.fixture(scope="module")
def matrix(here: Lab) -> Mapping[Pair, Seen]:
    return {pair: here.look(pair) for pair in PAIRS if not lacking(*pair[:2])}


def lacking(*languages: str) -> str:
    return "; ".join({reason for each in languages if (reason := missing(each))})


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_right_certificate_is_served_and_no_other(
    matrix: Mapping[Pair, Seen], pair: Pair
) -> None:
    if reason := lacking(*pair[:2]):
        pytest.skip(reason)
    assert_facts(matrix[pair])


def test_a_server_says_of_a_refusal_what_the_page_says(matrix: Mapping[Pair, Seen]) -> None:
    """Two of the six say why; of the others it is asserted that they say nothing."""
    for (_, server, protocol), seen in matrix.items():
        for refusal, said in seen.server_says.items():
            if not (speaks := SPEAKING.get((server, protocol))):
                assert said == "", (server, protocol, refusal)
            else:
                assert speaks[refusal] in said


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_page_has_the_words(matrix: Mapping[Pair, Seen], refusal: str) -> None:
    if reason := lacking(*LANGUAGES):
        pytest.skip(reason)
    page = PAGE.read_text(encoding="utf-8")
    if versions() not in page:
        pytest.skip(f"the facts hold; the page's words are not those of {versions()}")
    assert page.startswith(head())
    (rows,) = re.findall(rf"\n## {REFUSALS[refusal]}\n(.*?)(?=\n## |\Z)", page, re.DOTALL)
    for pair, seen in matrix.items():
        said = words(seen.refused[refusal].said.err, pair[2])
        row = client_row(pair, said)
        # An alert that is on the page can be lost; one that is not there is an error.
        assert f"\n{row}\n" in rows or (said == CLOSED and f"\n{row.removesuffix(CLOSED)}" in rows)
        server = server_row(*pair[1:], words(seen.server_says[refusal], pair[2]))
        assert f"\n{server}\n" in rows


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("server", LANGUAGES)
def test_only_one_uri_counts_as_the_name(here: Lab, server: str, protocol: str) -> None:
    """Neither the common name, nor another kind of name, nor one that only begins like it."""
    if reason := lacking(server):
        pytest.skip(reason)
    live, client = here.servers[server, protocol], here.clients["python"][f"{protocol}_client"]
    by_hand = here.folders["right"].parent
    for name, names in LOOKALIKES.items():
        folder = by_hand / name
        if not folder.exists():
            issue(by_hand, name, names=names)
        before = len(live.callers())
        said = client(folder, live.address)
        assert (said.code, said.out) == (1, ""), name
        assert "may not call" in said.err, name
        assert len(live.callers(before)) == 1, name
        assert live.callers(before) != [CLIENT], name
    assert client(here.folders["right"], live.address).code == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("server", LANGUAGES)
def test_a_server_speaks_tls_1_3_alone(here: Lab, server: str, protocol: str) -> None:
    if reason := lacking(server):
        pytest.skip(reason)
    address, client = here.servers[server, protocol].address, here.folders["right"]
    assert "New, TLSv1.3" in openssl_says(address, client, "-tls1_3")
    assert "New, (NONE)" in openssl_says(address, client, "-tls1_2")


def openssl_says(address: str, client: Path, version: str) -> str:
    return subprocess.run(
        [
            *("openssl", "s_client", "-connect", address, version, "-alpn", "h2,http/1.1"),
            *("-cert", client / "certificate.crt", "-key", client / "private-key.pem"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",  # a session ticket is printed as it is
        timeout=60,
        check=False,
    ).stdout


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("client", LANGUAGES)
def test_where_nobody_listens_a_client_says_so(here: Lab, client: str, protocol: str) -> None:
    """It ends with words, and not with a stack trace."""
    if reason := lacking(client):
        pytest.skip(reason)
    with socket.socket() as bound:  # and so refused, since nothing listens
        bound.bind(("127.0.0.1", 0))
        address = f"localhost:{bound.getsockname()[1]}"
        said = here.clients[client][f"{protocol}_client"](here.folders["right"], address)
    assert said.code == 1
    assert said.err.startswith(address)
    assert re.search("refused|ECONNREFUSED|Connect call failed", said.err.splitlines()[0])
    assert len(said.err.splitlines()) <= 4, said.err


def programs() -> list[Path]:
    found = [
        *(EXAMPLES / "python").glob("*.py"),
        *(EXAMPLES / "typescript").glob("*.ts"),
        *(EXAMPLES / "go").glob("*/main.go"),
    ]
    return [file for file in found if not file.name.startswith("hello_pb2")]


@pytest.mark.parametrize("program", programs(), ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_has_at_most_40_lines_of_code(program: Path) -> None:
    """Imports, comments, docstrings and empty lines are not counted."""
    text = program.read_text()
    for pattern in (
        r'"""(.|\n)*?"""',
        r"^import \((.|\n)*?^\)",
        r"^(import|from) .*",
        r"^\s*(#|//).*",
    ):
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    assert len([line for line in text.splitlines() if line.strip()]) <= 40
    assert "mtls" not in text
