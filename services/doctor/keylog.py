"""The secrets of one connection, so that its encrypted records can be opened afterwards.

OpenSSL writes them to a file in the format of SSLKEYLOGFILE (RFC 9850). Here the file is a pipe,
so that they touch no disk. They open this one conversation, which is shown in clear anyway, and no
other: each handshake agrees on secrets of its own.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

LABELS: Final = (
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "CLIENT_RANDOM",  # TLS 1.2: the master secret
)
_MAX_BYTES: Final = 64 * 1024


@contextmanager
def keylog(context: ssl.SSLContext, secrets: dict[str, bytes]) -> Iterator[None]:
    """Put the secrets of the connections that `context` makes meanwhile into `secrets`."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    try:
        context.keylog_filename = f"/dev/fd/{write_end}"
        yield
        context.keylog_filename = None  # type: ignore[assignment]  # None closes it
        try:
            text = os.read(read_end, _MAX_BYTES)
        except BlockingIOError:  # there was no handshake
            text = b""
        secrets.update(secrets_in(text.decode("ascii", "replace")))
    finally:
        os.close(read_end)
        os.close(write_end)


def secrets_in(text: str) -> Mapping[str, bytes]:
    """Read a key log of one connection: label, client random, secret."""
    found = {}
    for line in text.splitlines():
        match line.split():
            case [label, _, secret] if label in LABELS:
                found[label] = bytes.fromhex(secret)
    return found
