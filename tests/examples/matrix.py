"""Every client against every server, with every certificate: what is seen."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.x509 import UniformResourceIdentifier

from tests.examples.certificates import CLIENT, issue, make_by_hand
from tests.examples.programs import (
    LANGUAGES,
    PROTOCOLS,
    Client,
    Program,
    Said,
    build,
    missing,
    started_each_time,
    started_once,
)
from tests.examples.servers import Server, running

OTHER: Final = "spiffe://example.test/other"
# What a client can be refused for, and what of that a server says that says anything.
REFUSALS: Final[Mapping[str, str]] = {
    "none": "The client shows no certificate",
    "other-ca": "The client's certificate is of another CA, of the same name",
    "expired": "The client's certificate has expired",
    "server": "The client shows a server's certificate",
}
SPEAKING: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("python", "grpc"): {
        "none": "PEER_DID_NOT_RETURN_A_CERTIFICATE",
        "other-ca": "CERTIFICATE_VERIFY_FAILED: ",
        "expired": "certificate has expired",
        "server": "unsupported certificate purpose",
    },
    ("go", "http"): {
        "none": "client didn't provide a certificate",
        "other-ca": "certificate signed by unknown authority",
        "expired": "certificate has expired or is not yet valid",
        "server": "certificate specifies an incompatible key usage",
    },
}
_LOG_SECONDS: Final = 30

Pair = tuple[str, str, str]  # client, server, protocol
PAIRS: Final[tuple[Pair, ...]] = tuple(
    (client, server, protocol)
    for protocol in PROTOCOLS
    for client in LANGUAGES
    for server in LANGUAGES
)


@dataclass(frozen=True)
class Try:
    """One call, and by whom the handler was called meanwhile, in its own words."""

    said: Said
    callers: list[str]


@dataclass(frozen=True)
class Seen:
    """What was seen of a pair, and what the server has said of each refusal.

    Each refused client is followed by its twin, which has the right certificate.
    """

    right: Try
    unlisted: Try
    refused: Mapping[str, Try]
    twins: Mapping[str, Try]
    server_says: Mapping[str, str]


@dataclass(frozen=True)
class Lab:
    """The servers, the clients, and a folder for each certificate."""

    servers: Mapping[tuple[str, str], Server]
    clients: Mapping[str, Mapping[str, Client]]
    folders: Mapping[str, Path]

    def look(self, pair: Pair) -> Seen:
        """Try a pair with every certificate."""
        language, of_server, protocol = pair
        server = self.servers[of_server, protocol]
        clients = self.clients[language]
        right = clients[f"{protocol}_client"]
        served = _try(right, self.folders["right"], server)  # and so all is printed of its start
        refused, twins, says = {}, {}, {}
        for name in REFUSALS:
            client = clients[f"bare_{protocol}_client"] if name == "none" else right
            before = len(server.log.read_text())
            refused[name] = _try(client, self.folders[name], server)
            twins[name] = _try(right, self.folders["right"], server)
            says[name] = _listen(server, before, SPEAKING.get((of_server, protocol), {}).get(name))
        return Seen(
            right=served,
            unlisted=_try(right, self.folders["unlisted"], server),
            refused=refused,
            twins=twins,
            server_says=says,
        )


def _try(client: Client, folder: Path, server: Server) -> Try:
    before = len(server.callers())
    return Try(client(folder, server.address), server.callers(before))


def _listen(server: Server, before: int, awaited: str | None) -> str:
    """Return the line with `awaited` once it is there, or all that is not its handler's."""
    deadline = time.monotonic() + _LOG_SECONDS
    while True:
        said = server.log.read_text()[before:]
        lines = [line for line in said.splitlines() if not line.startswith("called by ")]
        if awaited and (line := next((line for line in lines if awaited in line), None)):
            return line
        if not awaited or time.monotonic() > deadline:
            return "\n".join(lines)
        time.sleep(0.02)


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Build and start everything in the languages that are there."""
    here = [language for language in LANGUAGES if not missing(language)]
    with ExitStack() as stack:
        programs = {language: _built(folder / language, language) for language in here}
        folders = _folders(folder)
        yield Lab(
            {
                (language, protocol): stack.enter_context(
                    running(
                        programs[language][f"{protocol}_server"],
                        folders["server"],
                        folder / f"{language}-{protocol}.log",
                    )
                )
                for language in here
                for protocol in PROTOCOLS
            },
            {language: _clients(stack, language, programs[language]) for language in here},
            folders,
        )


def _built(folder: Path, language: str) -> Mapping[str, Program]:
    folder.mkdir()
    return build(folder, language)


def _clients(
    stack: ExitStack, language: str, programs: Mapping[str, Program]
) -> Mapping[str, Client]:
    if language == "go":
        return {name: started_each_time(program) for name, program in programs.items()}
    return stack.enter_context(started_once(language, programs))


def _folders(folder: Path) -> Mapping[str, Path]:
    by_hand = make_by_hand(folder / "by-hand")
    other_ca = make_by_hand(folder / "other-ca") / "client"
    shutil.copy(by_hand / "ca" / "ca-certificate.crt", other_ca)  # it trusts the same server
    return {
        "right": by_hand / "client",
        "none": by_hand / "client",
        "other-ca": other_ca,
        "expired": issue(by_hand, "expired", expired=True),
        "server": by_hand / "server",
        "unlisted": issue(by_hand, "unlisted", names=[UniformResourceIdentifier(OTHER)]),
    }


def assert_facts(seen: Seen) -> None:
    """Assert that the right certificate was served, and every other refused before the handler."""
    greeting = Said(0, f"hello, {CLIENT}\n", "")
    assert seen.right == Try(greeting, [CLIENT])
    assert seen.unlisted.said.code == 1
    assert f"{OTHER} may not call" in seen.unlisted.said.err
    assert seen.unlisted.callers == [OTHER]
    assert set(seen.refused) == set(REFUSALS)
    for name, refused in seen.refused.items():
        assert refused.said.code == 1, name
        assert refused.said.out == "", name
        assert "If it runs, it may have refused our certificate" in refused.said.err, name
        assert refused.callers == [], name
        # Had the handler run late, it would be here.
        assert seen.twins[name] == Try(greeting, [CLIENT]), name
