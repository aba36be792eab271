"""Why was a peer refused: one stable code for the many texts of the TLS libraries."""

import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a TLS handshake ended in a refusal."""

    NO_CERTIFICATE = "no_certificate"
    UNKNOWN_CA = "unknown_ca"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NO_REVOCATION_LIST = "no_revocation_list"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_PURPOSE = "wrong_purpose"
    NAME_NOT_PERMITTED = "name_not_permitted"
    PLAINTEXT = "plaintext"
    PROTOCOL_VERSION = "protocol_version"
    BAD_CERTIFICATE = "bad_certificate"
    REFUSED_BY_PEER = "refused_by_peer"
    MESSAGE_TOO_LARGE = "message_too_large"
    TIMEOUT = "timeout"
    HANDSHAKE_FAILED = "handshake_failed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused handshake, with the text of the library that refused it.

    `peer` is its address (host:port), `presented` the leaf certificate that it has shown (DER,
    empty if there was none): both are known over HTTP alone, since gRPC's C-core tells neither.
    """

    reason: Reason
    error: str
    peer: str | None = None
    presented: bytes = field(default=b"", repr=False)

    @classmethod
    def from_text(cls, error: str, peer: str | None = None, presented: bytes = b"") -> "Refusal":
        """Classify the text of OpenSSL (HTTP) or BoringSSL (gRPC); the first match counts."""
        reason = next((reason for needle, reason in _REASONS if needle in error), None)
        return cls(reason or Reason.HANDSHAKE_FAILED, error, peer, presented)

    @classmethod
    def from_error(
        cls, error: ssl.SSLError, peer: str | None = None, presented: bytes = b""
    ) -> "Refusal":
        """Classify an error of `ssl`."""
        verdict = getattr(error, "verify_message", None)
        text = f"{error.reason}: {verdict}" if verdict else str(error.reason or error)
        return cls.from_text(text, peer, presented)


@dataclass(slots=True)
class PendingHandshake:
    """A connection in its handshake: its address (host:port), and whether a refusal is reported."""

    peer: str
    connection: socket.socket | None = None
    reported: bool = False


# An SSLObject knows no socket. The listener sets this before a handshake begins.
PENDING_HANDSHAKE: ContextVar[PendingHandshake | None] = ContextVar(
    "PENDING_HANDSHAKE", default=None
)

# From the specific to the general. Of two that say the same, one is OpenSSL's, one BoringSSL's.
_REASONS: Final[tuple[tuple[str, Reason], ...]] = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", Reason.NO_CERTIFICATE),
    ("certificate has expired", Reason.EXPIRED),
    ("certificate is not yet valid", Reason.NOT_YET_VALID),
    ("certificate revoked", Reason.REVOKED),
    ("unable to get certificate CRL", Reason.NO_REVOCATION_LIST),
    ("CRL has expired", Reason.NO_REVOCATION_LIST),
    ("unsuitable certificate purpose", Reason.WRONG_PURPOSE),
    ("unsupported certificate purpose", Reason.WRONG_PURPOSE),
    ("permitted subtree violation", Reason.NAME_NOT_PERMITTED),
    ("excluded subtree violation", Reason.NAME_NOT_PERMITTED),
    ("name constraints but leaf has no SANs", Reason.NAME_NOT_PERMITTED),
    ("unable to get local issuer certificate", Reason.UNKNOWN_CA),
    ("unable to get issuer certificate", Reason.UNKNOWN_CA),
    ("unable to verify the first certificate", Reason.UNKNOWN_CA),
    ("self-signed certificate", Reason.UNKNOWN_CA),
    ("self signed certificate", Reason.UNKNOWN_CA),
    ("certificate signature failure", Reason.UNKNOWN_CA),
    ("CERTIFICATE_VERIFY_FAILED", Reason.BAD_CERTIFICATE),
    ("HTTP_REQUEST", Reason.PLAINTEXT),
    ("WRONG_VERSION_NUMBER", Reason.PLAINTEXT),  # the first bytes are no TLS record
    ("RECORD_LAYER_FAILURE", Reason.PLAINTEXT),  # the same, in a client of OpenSSL 3.2 or newer
    ("UNSUPPORTED_PROTOCOL", Reason.PROTOCOL_VERSION),
    ("NO_SHARED_CIPHER", Reason.PROTOCOL_VERSION),
    ("EXCESSIVE_MESSAGE_SIZE", Reason.MESSAGE_TOO_LARGE),  # a chain of more than 100 KiB
    ("_ALERT_", Reason.REFUSED_BY_PEER),
)
