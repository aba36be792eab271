"""PEM text (RFC 7468), and what people have instead of it."""

import re
from typing import Final

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

CERTIFICATE: Final = "CERTIFICATE"
PRIVATE_KEY: Final = "PRIVATE KEY"

# By the first bytes of a file that has no PEM block: what it is, and what makes PEM of it.
_INSTEAD: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\xff\xfe", "UTF-16 text", "iconv -f UTF-16 -t ASCII {path} > {path}.pem"),
    (b"\xfe\xff", "UTF-16 text", "iconv -f UTF-16 -t ASCII {path} > {path}.pem"),
    (b"0", "binary (DER or PKCS #12)", "openssl {tool} -inform DER -in {path} -out {path}.pem"),
    (b"-----BEGIN", "PEM cut short: a line that ends it is missing", ""),
)


def blocks(content: bytes) -> list[tuple[str, bytes]]:
    """Return every PEM block of a file as (label, block)."""
    return [(match[1].decode("ascii"), match[0]) for match in _BLOCK.finditer(content)]


def labels(content: bytes) -> list[str]:
    """Return what each PEM block of a file calls itself."""
    return [label for label, _ in blocks(content)]


def what_it_is(content: bytes) -> tuple[str, str]:
    """Say what a file without PEM is, and the command that makes PEM of it, if there is one.

    The command has places for the file's `path`, quoted, and for `tool`: x509 or pkey.
    """
    for start, name, command in _INSTEAD:
        if content.lstrip().startswith(start):
            return name, command
    return "no PEM at all", ""
