"""Reading the log of gRPC's C-core, the only place where it says why it refused a handshake.

The C-core writes to file descriptor 2 and offers no hook. So for as long as a service runs,
descriptor 2 is a pipe that a thread reads line by line; Python's own sys.stderr keeps the real one.
"""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

from mtls.refusals import Refusal

import structlog

_log = structlog.get_logger(__name__)

_STDERR: Final = 2
# Severity, date, time, thread, source: "I1123 11:54:13.051165   12025 ssl_security.cc:2563] ...".
_LINE: Final = re.compile(
    r"(?P<severity>[IWEF])\d{4} [\d:.]+ +\d+ (?P<source>\S+:\d+)\] (?P<text>.*)"
)
_HANDSHAKE: Final = re.compile(
    r"Handshake failed with error SSL_ERROR_SSL: error:[0-9a-f]+:(?P<text>.*)"
)
_ABOUT_VERBOSITY: Final = "Log level INFO is not suitable for production"


@dataclass(frozen=True, slots=True)
class CoreLine:
    """A line worth hearing: a refused handshake, or a warning (`refusal` is None)."""

    text: str
    refusal: Refusal | None = None


def parse_core_line(line: str) -> CoreLine | None:
    """Return what a line of the C-core says, or None when it is small talk. Raises `ValueError`."""
    if not (match := _LINE.match(line)):
        raise ValueError("This line does not come from the C-core.")
    if handshake := _HANDSHAKE.match(match["text"]):
        return CoreLine(match["text"], Refusal.from_text(_without_noise(handshake["text"])))
    if match["severity"] == "I" or _ABOUT_VERBOSITY in match["text"]:
        return None
    return CoreLine(match["text"])


def _without_noise(text: str) -> str:
    """Keep BoringSSL's reason and its verdict on the certificate, if it came to one."""
    return (
        text.removeprefix("SSL routines:OPENSSL_internal:")
        .removesuffix(": Invalid certificate verification context")
        .strip()
    )


@contextmanager
def read_core_log(on_line: Callable[[CoreLine], None]) -> Iterator[None]:
    """Replace file descriptor 2 and set GRPC_VERBOSITY, so that `on_line` gets the C-core's lines.

    It is called in a thread; every other line is passed on. To be entered before gRPC is first
    used: then the C-core decides what it writes.
    """
    os.environ["GRPC_VERBOSITY"] = "info"  # refusals are written at this level and not above it
    sys.stderr.flush()
    real = os.dup(_STDERR)
    read_end, write_end = os.pipe()
    os.dup2(write_end, _STDERR)
    os.close(write_end)
    python_stderr, sys.stderr = sys.stderr, os.fdopen(os.dup(real), "w", buffering=1)
    reader = threading.Thread(
        target=_pump, args=(os.fdopen(read_end, "rb"), real, on_line), name="core-log", daemon=True
    )
    reader.start()
    try:
        yield
    finally:
        # Closes the pipe's last write end, so that the reader comes to its end.
        os.dup2(real, _STDERR)
        reader.join(timeout=5)
        sys.stderr.close()
        sys.stderr = python_stderr
        os.close(real)


def _pump(pipe: IO[bytes], real: int, on_line: Callable[[CoreLine], None]) -> None:
    with pipe:
        for raw in pipe:
            try:
                _hear(raw, real, on_line)
            except Exception:  # noqa: BLE001  or nothing after this line would be heard
                _log.exception("core_log.failed", line=repr(raw))


def _hear(raw: bytes, real: int, on_line: Callable[[CoreLine], None]) -> None:
    try:
        line = parse_core_line(raw.decode("utf-8", "replace").rstrip("\n"))
    except ValueError:
        os.write(real, raw)
    else:
        if line:
            on_line(line)
