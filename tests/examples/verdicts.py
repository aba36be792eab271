"""What each library says of certificates: the tables of docs/the-usual-tutorial.md.

Print them anew with
`PYTHONPATH=services:protos/gen:scripts .venv/bin/python -m tests.examples.verdicts`.
"""

import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack import ROOT
from tests.examples.certificates import make_by_hand
from tests.examples.page import versions as versions_of_languages
from tests.examples.page import words
from tests.examples.programs import LANGUAGES, Client, Program, Said, build, started_each_time
from tests.examples.servers import Server, running
from tests.pages import blocks_of
from tests.unit.pki.verifiers import shake_hands

PAGE: Final = ROOT / "docs" / "the-usual-tutorial.md"
YES: Final = "yes"

# The libraries of the tables, and those whose answer depends on nothing but their own version.
_STRICT: Final[Mapping[str, bool]] = {"Python 3.12 and older": False, "Python 3.13 and newer": True}
_CLIENTS: Final[Mapping[str, tuple[str, str]]] = {
    "Node.js: undici": ("typescript", "http"),
    "Go: net/http": ("go", "http"),
    "Python: grpcio": ("python", "grpc"),
    "Node.js: grpc-js": ("typescript", "grpc"),
    "Go: grpc-go": ("go", "grpc"),
}
_SERVERS: Final = {("Node.js: fastify" if "undici" in k else k): v for k, v in _CLIENTS.items()}


def versions() -> str:
    """Return whose words the page has, without the patch levels."""
    curl = _first(["curl", "--version"], r"curl (\d+\.\d+)")
    openssl = _first(["openssl", "version"], r"OpenSSL (\d+\.\d+)")
    return f"{versions_of_languages()}; curl {curl} and openssl {openssl}"


def _first(command: list[str], pattern: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(pattern, said)
    return match[1] if match else "of unknown version"


@dataclass(frozen=True)
class Kit:
    """Two sets of certificates, and the programs to try them with."""

    folder: Path
    programs: Mapping[str, Mapping[str, Program]]

    def identity(self, origin: str, name: str) -> Path:
        """Return the folder of the `tutorial`'s or the `by-hand` server or client."""
        return self.folder / origin / name

    def client(self, language: str, protocol: str) -> Client:
        """Return a client of examples/."""
        return started_each_time(self.programs[language][f"{protocol}_client"])


def tutorial_commands() -> str:
    """Return what the page says to type, as the usual tutorial does: its first block."""
    (block,) = blocks_of(PAGE, "bash")
    return block.text


@contextmanager
def kit(folder: Path) -> Iterator[Kit]:
    """Make both sets of certificates, and build the programs."""
    tutorial = folder / "tutorial"
    tutorial.mkdir()
    subprocess.run(
        ["bash", "-euc", tutorial_commands()], cwd=tutorial, check=True, capture_output=True
    )
    for name in ("server", "client"):
        (tutorial / name).mkdir()
        shutil.copy(tutorial / "ca.crt", tutorial / name / "ca-certificate.crt")
        shutil.copy(tutorial / f"{name}.crt", tutorial / name / "certificate.crt")
        shutil.copy(tutorial / f"{name}.key", tutorial / name / "private-key.pem")
    make_by_hand(folder / "by-hand")
    programs = {}
    for language in LANGUAGES:
        (folder / language).mkdir()
        programs[language] = build(folder / language, language)
    yield Kit(folder, programs)


def as_clients(kit: Kit) -> dict[str, list[str]]:
    """Return what each client says of a server, by whom it shows and by which name it is called."""
    asked = (
        ("tutorial", "server", "127.0.0.1"),
        ("tutorial", "server", "localhost"),
        ("tutorial", "client", "127.0.0.1"),
        ("by-hand", "server", "127.0.0.1"),
        ("by-hand", "server", "localhost"),
    )
    rows: dict[str, list[str]] = {}
    for origin, shown, host in asked:
        mine, theirs = kit.identity(origin, "client"), kit.identity(origin, shown)
        for name, strict in _STRICT.items():
            rows.setdefault(name, []).append(
                _in_memory(_server(theirs), _client(mine, strict=strict), host)
            )
        with _both_servers(kit, theirs) as servers:
            for name, (language, protocol) in _CLIENTS.items():
                verdict = _verdict(kit.client(language, protocol), mine, servers[protocol], host)
                rows.setdefault(name, []).append(verdict)
            rows.setdefault("curl", []).append(_verdict(_curl, mine, servers["http"], host))
    return rows


def by_common_name(kit: Kit, identity: Path) -> dict[str, bool]:
    """Return which clients take the server with this identity for `localhost`."""
    mine = kit.identity("by-hand", "client")
    with running(kit.programs["go"]["http_server"], identity, kit.folder / "log") as server:
        return {
            "Node.js": _verdict(kit.client("typescript", "http"), mine, server, "localhost") == YES,
            "Go": _verdict(kit.client("go", "http"), mine, server, "localhost") == YES,
            "curl": _verdict(_curl, mine, server, "localhost") == YES,
            "Python": _in_memory(_server(identity), _client(mine), "localhost") == YES,
        }


def as_servers(kit: Kit) -> dict[str, list[str]]:
    """Return what each server says of a client, by which certificate the client shows."""
    rows: dict[str, list[str]] = {}
    for origin, shown in (
        ("tutorial", "client"),
        ("tutorial", "server"),
        ("by-hand", "client"),
        ("by-hand", "server"),
    ):
        mine, theirs = kit.identity(origin, "server"), kit.identity(origin, shown)
        for name, strict in _STRICT.items():
            rows.setdefault(name, []).append(
                _in_memory(_server(mine, strict=strict), _client(theirs), "127.0.0.1")
            )
        for name, (language, protocol) in _SERVERS.items():
            program = kit.programs[language][f"{protocol}_server"]
            with running(program, mine, kit.folder / "log") as server:
                verdict = _verdict(kit.client("go", protocol), theirs, server, "127.0.0.1")
            rows.setdefault(name, []).append(verdict.partition(":")[0])
    return rows


def _verdict(client: Client, identity: Path, server: Server, host: str) -> str:
    """Return `yes` if the handler of the server was called; authorization comes after that."""
    before = len(server.callers())
    said = client(identity, server.address.replace("localhost", host))
    if server.callers(before):
        return YES
    no_refusal = re.search(
        "refused$|ECONNREFUSED|Deadline|DEADLINE|[Tt]imeout", said.err, re.MULTILINE
    )
    assert not no_refusal, f"{said}; the server: {server.log.read_text()}"
    return f"no: {_reason(said.err)}"


def _reason(said: str) -> str:
    """Return the end of what a library said, which is what it says of the certificate."""
    text = words(said.partition("\nMore details here")[0], "http")
    return re.sub(r".*(x509: |SSL: |UNAUTHENTICATED: )", "", text).rstrip('"')


@contextmanager
def _both_servers(kit: Kit, identity: Path) -> Iterator[Mapping[str, Server]]:
    with ExitStack() as stack:
        yield {
            protocol: stack.enter_context(
                running(
                    kit.programs["go"][f"{protocol}_server"],
                    identity,
                    kit.folder / f"{protocol}.log",
                )
            )
            for protocol in ("http", "grpc")
        }


def _curl(folder: Path, address: str) -> Said:
    ended = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--cacert", folder / "ca-certificate.crt"),
            *("--cert", folder / "certificate.crt", "--key", folder / "private-key.pem"),
            f"https://{address}/",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


def _server(folder: Path, *, strict: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca-certificate.crt"
    )
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_certificate(context, folder, strict=strict)


def _client(folder: Path, *, strict: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca-certificate.crt")
    return _with_certificate(context, folder, strict=strict)


def _with_certificate(context: ssl.SSLContext, folder: Path, *, strict: bool) -> ssl.SSLContext:
    """Set the one flag that became the default with Python 3.13, whatever Python this is."""
    context.load_cert_chain(folder / "certificate.crt", folder / "private-key.pem")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _in_memory(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str:
    try:
        shake_hands(server, client, host)
    except ssl.SSLCertVerificationError as error:
        return f"no: {error.verify_message}"
    return YES


Table = tuple[tuple[str, ...], Callable[[Kit], dict[str, list[str]]]]
TABLES: Final[Mapping[str, Table]] = {
    "clients": (
        (
            "Does the client accept the server?",
            "tutorial, as `127.0.0.1`",
            "tutorial, as `localhost`",
            "tutorial, with the client's certificate",
            "by hand, as `127.0.0.1`",
            "by hand, as `localhost`",
        ),
        as_clients,
    ),
    "servers": (
        (
            "Does the server accept the client?",
            "tutorial",
            "tutorial, with the server's certificate",
            "by hand",
            "by hand, with the server's certificate",
        ),
        as_servers,
    ),
}


def table(name: str, kit: Kit) -> str:
    """Return a table of the page."""
    head, rows = TABLES[name]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {who} | {' | '.join(verdicts)} |" for who, verdicts in rows(kit).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, kit(Path(scratch)) as made:
        print(*(table(each, made) for each in TABLES), versions(), sep="\n\n")
