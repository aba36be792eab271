"""The record of a connection to the server under examination."""

from dataclasses import dataclass, field
from enum import StrEnum

from doctor.messages import Kind, of_kind, version_chosen
from doctor.target import NotReached, Target
from doctor.watch import Direction, Message


class Ending(StrEnum):
    """How a connection ended."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"
    SILENT = "silent"  # an answer was owed, and the time was up, or far too much had come
    FAILED = "failed"  # a TLS error: an alert of theirs, a verdict of ours, or not TLS at all


@dataclass(slots=True)
class Attempt:
    """What happened on a connection.

    `is_finished` says whether the handshake was complete from our side, `verdict` is OpenSSL's
    message about a server certificate that did not verify, `error` its name for any other failure.
    """

    target: Target
    not_reached: NotReached | None = None
    address: str = ""
    first_bytes: bytes = b""
    messages: list[Message] = field(default_factory=list)
    is_finished: bool = False
    version: str | None = None
    cipher: str = ""
    alpn: str | None = None
    verdict: str = ""
    error: str = ""
    ending: Ending = Ending.OPEN
    answer: bytes = b""

    @property
    def hello_version(self) -> int:
        """The number of the TLS version that the server chose; 0 if it chose none."""
        return version_chosen(self.messages)

    @property
    def has_verified(self) -> bool:
        """Whether we accepted the server's certificate: only then did we send our Finished."""
        return any(of_kind(self.messages, Direction.SENT, Kind.FINISHED))

    @property
    def has_ticket(self) -> bool:
        """Whether the server sent a session ticket, which it does after reading our Finished."""
        return any(of_kind(self.messages, Direction.RECEIVED, Kind.NEW_SESSION_TICKET))
