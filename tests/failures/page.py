"""Makes docs/what-can-go-wrong.md from a run.

Write it anew with `PYTHONPATH=services:protos/gen:scripts .venv/bin/python -m tests.failures.page`.
"""

import re
import ssl
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import mtls  # noqa: F401  before grpc

import grpc

from local_stack import ROOT
from tests.failures import client_refuses, lifetime, local_files, lookalikes, server_refuses
from tests.failures.failure import Event, Failure, Seen, happen

PAGE: Final = ROOT / "docs" / "what-can-go-wrong.md"
LOCAL: Final = "The files on your own machine"
GROUPS: Final[Mapping[str, Sequence[Failure]]] = {
    "The server refuses the client": server_refuses.FAILURES,
    "The client refuses the server": client_refuses.FAILURES,
    LOCAL: local_files.FAILURES,
    "What time does": lifetime.FAILURES,
    "What looks like a refusal, and is none": lookalikes.FAILURES,
}
FAILURES: Final = tuple(failure for group in GROUPS.values() for failure in group)

# What differs from run to run or from patch to patch of a library, and says nothing.
VARYING: Final = (
    (r" \(_ssl\.c:\d+\)", ""),
    (r"object at 0x[0-9a-f]+", "object at 0x..."),
    (r"\b[0-9A-F]{12,16}:error", "error"),
    (r":\.\./[^:]+\.c:\d+:", ": "),
    (r": $", ""),
    (r"OpenSSL/(\d+\.\d+)\.\d+", r"OpenSSL/\1"),
    (r", errno \d+$", ""),
    (r"after \d+ ms", "after 0 ms"),
    (r"curl: \(28\) .*", "curl: (28) Connection timed out after 10000 milliseconds"),
    (r"(localhost:|127\.0\.0\.1:|port |', )\d{5}\b", r"\g<1>3128"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[a time]"),
    (r"in \d+ minutes", "in an hour"),
    (r"\d+ seconds? ago", "seconds ago"),
    # One closed socket, in the words of whoever notices first.
    (r"(UNAVAILABLE: ipv4:127\.0\.0\.1:50051: ).*", r"\1Socket closed"),
    (r"ClientOSError: \[Errno (104|32)\].*", "ServerDisconnectedError: Server disconnected"),
    (r"curl: \((55|56)\) (Recv|Send) failure: .*", "curl: (52) Empty reply from server"),
)

_WIDTH: Final = 120
_HEAD: Final = Path(__file__).with_name("head.md")


@cache
def versions() -> str:
    """Return whose words these are, without the patch levels."""
    curl = _first(["curl", "--version"], r"curl (\d+\.\d+)")
    openssl = _first(["openssl", "version"], r"OpenSSL (\d+\.\d+)")
    libssl = ".".join(map(str, ssl.OPENSSL_VERSION_INFO[:2]))
    python = ".".join(map(str, sys.version_info[:2]))
    core = ".".join(grpc.__version__.split(".")[:2])
    return (
        f"Python {python} with OpenSSL {libssl}, grpcio {core}, curl {curl} and openssl {openssl}"
    )


def _first(command: list[str], pattern: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(pattern, said)
    return match[1] if match else "of unknown version"


def entry(failure: Failure, seen: Seen) -> str:
    """Return the entry of the page."""
    said = _settled(seen, "\n".join(_rows(failure, seen)))
    return "\n\n".join(
        (
            f"### {FAILURES.index(failure) + 1}. {failure.title}",
            _filled(failure.did),
            f"```text\n{said}\n```",
            _filled(f"**Why.** {failure.why}"),
            _filled(f"**Mend.** {failure.mend}"),
            _filled(f"**Doctor.** {_settled(seen, _diagnosis(failure, seen))}"),
        )
    )


def _filled(prose: str) -> str:
    return textwrap.fill(prose, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _rows(failure: Failure, seen: Seen) -> Iterator[str]:
    for name, said in seen.clients.items():
        yield from _row(name, said.words)
    for endpoint, event in seen.server.items():
        yield from _row("server" if endpoint == "http" else "  gRPC", _said(event))
    if failure in GROUPS[LOCAL] and seen.loading:
        yield from _row("services", seen.loading)


def _row(name: str, words: str) -> Iterator[str]:
    width = 9 if len(name) < 9 else len(name) + 2
    for number, line in enumerate(words.splitlines()):
        yield (name if number == 0 else "").ljust(width) + line


def _said(event: Event) -> str:
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


def contents() -> str:
    """Return the head of the page: what it is, and its groups."""
    counts = (
        f"- [{group}](#{_anchor(group)}): {len(failures)}" for group, failures in GROUPS.items()
    )
    return f"{_HEAD.read_text(encoding='utf-8').format(versions=versions())}\n" + "\n".join(counts)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def main() -> None:
    """Let everything happen, and write the page."""
    parts = [contents()]
    for group, failures in GROUPS.items():
        parts.append(f"## {group}")
        for failure in failures:
            with tempfile.TemporaryDirectory() as folder:
                parts.append(entry(failure, happen(failure, Path(folder))))
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
