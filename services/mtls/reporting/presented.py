"""The certificate that a refused client has shown: nobody has vouched for a word of it.

OpenSSL keeps a peer's certificate only when it has verified it, so that for a refused client
`SSLObject.get_unverified_chain` (Python 3.13) is empty. Only `SSLContext._msg_callback` sees it
(bpo-37120, made for debugging): this file is the one that depends on it.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

from mtls.certificates import extension_of

from cryptography import x509

_ALERT, _HANDSHAKE, _CERTIFICATE = 21, 22, 11  # RFC 8446, sections 5.1 and 4
_MAX_CHARACTERS: Final = 200
_MAX_NAMES: Final = 10
_MAX_NAMES_IN_LINE: Final = 3


@dataclass(frozen=True, slots=True, repr=False)
class Presented:
    """What the leaf says, in printable ASCII and of bounded length; times are ISO 8601, UTC."""

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    not_before: str
    not_after: str

    def __repr__(self) -> str:
        """Say in a line of the log for people what it takes to recognise the certificate."""
        names = " ".join(self.names[:_MAX_NAMES_IN_LINE]) or self.subject
        dates = f"{self.not_before[:16]} to {self.not_after[:16]}"
        return f"[{names}; issuer {self.issuer}; serial {self.serial}; {dates}]"

    @classmethod
    def parse(cls, der: bytes) -> Self | None:
        """Read a certificate; None if it cannot be read."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            return cls(
                subject=_printable(certificate.subject.rfc4514_string()),
                names=tuple(islice(_names(certificate), _MAX_NAMES)),
                issuer=_printable(certificate.issuer.rfc4514_string()),
                serial=f"{certificate.serial_number:x}",
                not_before=certificate.not_valid_before_utc.isoformat(),
                not_after=certificate.not_valid_after_utc.isoformat(),
            )
        except (ValueError, x509.InvalidVersion, x509.DuplicateExtension):
            return None


def _names(certificate: x509.Certificate) -> Iterator[str]:
    for name in extension_of(certificate, x509.SubjectAlternativeName) or ():
        yield _printable(str(name.value))


def _printable(text: str) -> str:
    """Escape what could forge a line of the log or steer a terminal, and cut what is too long."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= _MAX_CHARACTERS else escaped[:_MAX_CHARACTERS] + "..."


def watch_handshakes(context: ssl.SSLContext) -> None:
    """Set two attributes of the connections of `context`, as soon as they are known.

    `presented` is the peer's leaf, in DER; `alert` the number of the alert that we send.
    """

    def on_message(  # the interface prescribes the parameters
        connection: Any,
        direction: str,
        _version: int,
        content_type: int,
        message_type: int,
        body: bytes,
    ) -> None:
        if (direction, content_type, message_type) == ("read", _HANDSHAKE, _CERTIFICATE):
            connection.presented = leaf_of(body)
        elif (direction, content_type) == ("write", _ALERT):
            connection.alert = message_type

    # Set below ssl.SSLContext, whose own setter makes enums of the numbers first: for each of some
    # twenty messages, and so for a twentieth of all that a handshake costs.
    below: Any = super(ssl.SSLContext, ssl.SSLContext)
    below._msg_callback.__set__(context, on_message)  # noqa: SLF001


def leaf_of(message: bytes) -> bytes:
    """Return the first certificate of a Certificate message (RFC 8446, section 4.4.2), or b""."""
    entries = 4 + 1 + int.from_bytes(message[4:5]) + 3  # type, length, context, length of the list
    begin = entries + 3
    return message[begin : begin + int.from_bytes(message[entries:begin])]
