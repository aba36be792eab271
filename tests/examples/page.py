"""Makes docs/refusals-by-language.md from a run of the matrix.

Write it anew with `PYTHONPATH=services:protos/gen:scripts .venv/bin/python -m tests.examples.page`.
"""

import json
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from local_stack import ROOT
from tests.examples.matrix import PAIRS, REFUSALS, Pair, Seen, assert_facts, lab
from tests.examples.programs import EXAMPLES, LANGUAGES, LIBRARIES, PROTOCOLS, SERVERS

PAGE: Final = ROOT / "docs" / "refusals-by-language.md"
CLOSED: Final = "closed"
_ROUNDS: Final = 12  # an alert can be lost; so often it is not
_HEAD: Final = Path(__file__).with_name("head.md")

_HTTP: Final = 'Get "https://localhost:8443/": '
_GRPCIO: Final = (
    "UNAVAILABLE: failed to connect to all addresses; last error: "
    "UNAVAILABLE: ipv4:127.0.0.1:50051: "
)
_GRPC_GO: Final = "rpc error: code = Unavailable desc = "
_PREFACE: Final = f'{_GRPC_GO}connection error: desc = "error reading server preface: '
_TCP: Final = "tcp 127.0.0.1:3128->127.0.0.1:"

# One closed connection, in the words of what notices it first: a matter of microseconds.
CLOSED_IN_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "aiohttp": (
        "ServerDisconnectedError: Server disconnected",
        "ClientOSError: [Errno 104] Connection reset by peer",
        "ClientOSError: [Errno 32] Broken pipe",
    ),
    "undici": (
        "SocketError: other side closed",
        "Error: read ECONNRESET",
        "Error: write EPIPE",
    ),
    "net/http": (
        f"{_HTTP}EOF",
        f"{_HTTP}http: server closed idle connection",
        f"{_HTTP}read {_TCP}8443: read: connection reset by peer",
        f"{_HTTP}write {_TCP}8443: write: broken pipe",
    ),
    "grpcio": (
        f"{_GRPCIO}Socket closed",
        f"{_GRPCIO}recvmsg:Connection reset by peer (104)",
        f"{_GRPCIO}sendmsg: Broken pipe (32)",
    ),
    "grpc-js": tuple(
        f"14 UNAVAILABLE: No connection established. Last error: {reason} (a time). "
        "Resolution note:"
        for reason in ("Failed to connect", "read ECONNRESET", "write EPIPE")
    ),
    "grpc-go": (
        f'{_PREFACE}EOF"',
        f'{_PREFACE}read {_TCP}50051: read: connection reset by peer"',
        f"{_GRPC_GO}write {_TCP}50051: write: broken pipe",
        f"{_GRPC_GO}write {_TCP}50051: write: connection reset by peer",
    ),
}

# What differs from run to run, and says nothing.
_VARYING: Final = (
    (r"\nIf it runs, .*", ""),  # the example's own
    (r"^localhost:\d+( did not answer)?: ", ""),
    (r"\s*\n\s*", " "),
    (r"(localhost|127\.0\.0\.1):\d+", r"\1:PORT"),
    (r"(tcp|from) 127\.0\.0\.1:PORT", r"\1 127.0.0.1:3128"),
    (r"readLoopPeekFailLocked: ", ""),
    (r" \(\d{4}-\d\d-\d\dT[\d:.]+Z\)", " (a time)"),
    (r"\d{4}-\d\d-\d\dT[\d:]+Z", "[a time]"),
    (r"\b[0-9A-F]{12,16}:error", "error"),
    (r" \(_ssl\.c:\d+\)", ""),
    (r":\.\./deps/\S+\.c:\d+:", ": "),
    (r"^[IEW]\d{4} \S+ +\d+ \S+\] ", ""),  # the C-core's date, thread and line
    (r"^\d{4}/\d\d/\d\d [\d:]+ ", ""),
)


def words(said: str, protocol: str) -> str:
    """Return what a library said, or `closed` if that is all that it said."""
    said = said.strip()
    for pattern, replacement in _VARYING:
        said = re.sub(pattern, replacement, said)
    said = said.replace("PORT", "8443" if protocol == "http" else "50051").strip()
    return CLOSED if any(said in each for each in CLOSED_IN_WORDS.values()) else said


@cache
def versions() -> str:
    """Return whose words these are, without the patch levels."""
    python, node = ".".join(map(str, sys.version_info[:2])), _said("node", "--version")
    openssl = ".".join(map(str, ssl.OPENSSL_VERSION_INFO[:2]))
    go = _said("go", "version").split()[2].removeprefix("go")
    modules = _said("go", "list", "-m", "google.golang.org/grpc", folder=EXAMPLES / "go")
    node_openssl = _said("node", "--print", "process.versions.openssl")
    return (
        f"Python {python} with OpenSSL {openssl}, aiohttp {_minor(version('aiohttp'))} and grpcio "
        f"{_minor(version('grpcio'))}; Node.js {_minor(node[1:])} with OpenSSL "
        f"{_minor(node_openssl)}, undici {_npm('undici')}, fastify {_npm('fastify')} and grpc-js "
        f"{_npm('@grpc/grpc-js')}; Go {_minor(go)} with grpc-go {_minor(modules.split()[1][1:])}"
    )


def _said(*command: str, folder: Path = ROOT) -> str:
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def _npm(package: str) -> str:
    described = EXAMPLES / "typescript" / "node_modules" / package / "package.json"
    return _minor(json.loads(described.read_text())["version"])


def _minor(full: str) -> str:
    return ".".join(full.split(".")[:2])


def head() -> str:
    """Return the page up to its first refusal."""
    rows = [
        f"{client if number == 0 else '':10}{each}"
        for client, variants in CLOSED_IN_WORDS.items()
        for number, each in enumerate(variants)
    ]
    text = _HEAD.read_text(encoding="utf-8").format(versions=versions())
    return f"{text}\n## `closed`: the connection ends, and no reason is given\n\n" + _block(rows)


def client_row(pair: Pair, said: str) -> str:
    """Return the line of a client that was refused by a server."""
    client, server, protocol = pair
    return f"{LIBRARIES[client, protocol]:10}{SERVERS[server, protocol]:10}{said}"


def server_row(server: str, protocol: str, said: str) -> str:
    """Return the line of what a server writes when it refuses a client."""
    return f"{SERVERS[server, protocol]:10}{said or 'nothing'}"


def section(refusal: str, rounds: Sequence[Mapping[Pair, Seen]]) -> str:
    """Return what was said of one refusal: of several rounds, the most that was said."""
    clients = [client_row(pair, _most_said(refusal, pair, rounds)) for pair in PAIRS]
    return "\n\n".join(
        (
            f"## {REFUSALS[refusal]}",
            _block([f"{'client':10}{'server':10}what the client says", *clients]),
            _block([f"{'server':10}what the server says", *_server_rows(refusal, rounds[0])]),
        )
    )


def _most_said(refusal: str, pair: Pair, rounds: Sequence[Mapping[Pair, Seen]]) -> str:
    heard = {words(seen[pair].refused[refusal].said.err, pair[2]) for seen in rounds}
    alerts = heard - {CLOSED}
    assert len(alerts) < 2, alerts
    return alerts.pop() if alerts else CLOSED


def _server_rows(refusal: str, seen: Mapping[Pair, Seen]) -> Iterator[str]:
    for protocol in PROTOCOLS:
        for server in LANGUAGES:
            said = seen["go", server, protocol].server_says[refusal]
            yield server_row(server, protocol, words(said, protocol))


def _block(rows: Sequence[str]) -> str:
    return "\n".join(("```text", *rows, "```"))


def main() -> None:
    """Run the matrix, and write the page."""
    with tempfile.TemporaryDirectory() as folder, lab(Path(folder)) as here:
        rounds = [{pair: here.look(pair) for pair in PAIRS} for _ in range(_ROUNDS)]
    for seen in rounds:
        for each in seen.values():
            assert_facts(each)
    parts = [head(), *(section(refusal, rounds) for refusal in REFUSALS)]
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
