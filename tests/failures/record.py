"""What each failure looks like on this system: the words of every client, server and of the doctor.

    python -m tests.failures.record > record.json

prints it. scripts/what_can_go_wrong keeps one such record of each system in `records/`.
"""

import json
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import mtls  # noqa: F401  before grpc

import grpc

from tests.failures import client_refuses, lifetime, local_files, lookalikes, server_refuses
from tests.failures.failure import Event, Failure, Seen, happen

LOCAL: Final = "The files on your own machine"
GROUPS: Final[Mapping[str, Sequence[Failure]]] = {
    "The server refuses the client": server_refuses.FAILURES,
    "The client refuses the server": client_refuses.FAILURES,
    LOCAL: local_files.FAILURES,
    "What time does": lifetime.FAILURES,
    "What looks like a refusal, and is none": lookalikes.FAILURES,
}
FAILURES: Final = tuple(failure for group in GROUPS.values() for failure in group)

# What says nothing: it differs from run to run, or from one patch of a library to the next, or it
# comes from the machine, and not from TLS.
VARYING: Final = (
    (r" \(_ssl\.c:\d+\)", ""),
    (r"object at 0x[0-9a-f]+", "object at 0x..."),
    (r"\b[0-9A-F]{12,16}:error", "error"),
    (r":\.\./[^:]+\.c:\d+:", ": "),
    (r": $", ""),
    (r"OpenSSL/3\.\d+\.\d+", "OpenSSL/3.x"),
    (r"^connect:errno=\d+$", "connect:errno=[any]"),  # whichever error came before
    (r", errno \d+$", ""),
    (r"after \d+ ms", "after 0 ms"),
    (r"curl: \(28\) .*", "curl: (28) Connection timed out after 10000 milliseconds"),
    (r"(localhost:|127\.0\.0\.1:|port |', )\d{5}\b", r"\g<1>3128"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[a time]"),
    (r"in \d+ minutes", "in an hour"),
    (r"\d+ (second|minute)s? ago", "seconds ago"),
    # One closed socket, in the words of whoever notices first.
    (r"(UNAVAILABLE: ipv4:127\.0\.0\.1:\d+: ).*", r"\1Socket closed"),
    (r"ClientOSError: \[Errno (104|32)\].*", "ServerDisconnectedError: Server disconnected"),
    (r"\nerror:80000020:system library:\w+:Broken pipe.*", ""),
    (r"curl: \((55|56)\) (Recv|Send) failure: .*", "curl: (52) Empty reply from server"),
)


@dataclass(frozen=True, slots=True)
class System:
    """Whose words these are, each by its version without the patch level."""

    python: str
    libssl: str
    grpcio: str
    curl: str
    openssl: str

    def __str__(self) -> str:
        return (
            f"Python {self.python} with OpenSSL {self.libssl}, grpcio {self.grpcio}, "
            f"curl {self.curl} and openssl {self.openssl}"
        )


@dataclass(frozen=True, slots=True)
class Words:
    """What was said of one failure: by whom, and by the doctor."""

    said: Mapping[str, str]
    doctor: str


@dataclass(frozen=True, slots=True)
class Record:
    """What was said on one system; `words` by the failure's title."""

    system: System
    words: Mapping[str, Words]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a record that was written as JSON."""
        found: dict[str, Any] = json.loads(text)
        words = {title: Words(**each) for title, each in found["words"].items()}
        return cls(System(**found["system"]), words)

    def __str__(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@cache
def this_system() -> System:
    """Return whose words are heard here."""
    return System(
        python=".".join(map(str, sys.version_info[:2])),
        libssl=".".join(map(str, ssl.OPENSSL_VERSION_INFO[:2])),
        grpcio=".".join(grpc.__version__.split(".")[:2]),
        curl=_first(["curl", "--version"], r"curl (\d+\.\d+)"),
        openssl=_first(["openssl", "version"], r"OpenSSL (\d+\.\d+)"),
    )


def _first(command: list[str], pattern: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(pattern, said)
    return match[1] if match else "of unknown version"


def words_of(failure: Failure, seen: Seen) -> Words:
    """Return what was said, without what differs from run to run."""
    said = {name: _settled(seen, words) for name, words in _said(failure, seen)}
    return Words(said, _settled(seen, _diagnosis(failure, seen)))


def _said(failure: Failure, seen: Seen) -> Iterator[tuple[str, str]]:
    for name, said in seen.clients.items():
        yield name, said.words
    for endpoint, event in seen.server.items():
        yield "server" if endpoint == "http" else "  gRPC", _in_the_log(event)
    if failure in GROUPS[LOCAL] and seen.loading:
        yield "services", seen.loading


def _in_the_log(event: Event) -> str:
    fields = ("reason", "error", "identity", "method", "rule")
    return " ".join(
        [str(event["event"]), *(f"{each}={event[each]}" for each in fields if event.get(each))]
    )


def _diagnosis(failure: Failure, seen: Seen) -> str:
    if not failure.doctor:
        return f"Not to be seen from the client: {failure.unseen}."
    command = "doctor check" if failure.examine[0] == "check" else "doctor connect"
    return f"`{command}` says at `{failure.doctor}`: {seen.doctor[failure.doctor]}"


def _settled(seen: Seen, text: str) -> str:
    server = seen.case.server
    for address, port in ((server.http, "8443"), (server.grpc, "50051")):
        text = re.sub(rf"\b{address.rpartition(':')[2]}\b", port, text)
    text = text.replace(f"{seen.case.client.folder.parent}/", "")
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def main() -> None:
    """Let everything happen, and print what was said."""
    words = {}
    for failure in FAILURES:
        with tempfile.TemporaryDirectory() as folder:
            words[failure.title] = words_of(failure, happen(failure, Path(folder)))
    print(Record(this_system(), words), end="")


if __name__ == "__main__":
    main()
