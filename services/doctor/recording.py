"""A handshake as a file: saved, and read again without being trusted.

The file holds what was sent and when, and the secrets of that one conversation. What it means is
not in the file: it is read anew out of the bytes, as if they came from the network.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from mtls.errors import MtlsError

from doctor.codes import VERSIONS
from doctor.connection import Attempt, Ending, Flight, Target
from doctor.keylog import LABELS
from doctor.watch import ContentType, Direction, Message

FORMAT: Final = "mtls-handshake/1"
MAX_BYTES: Final = 1024 * 1024  # of the JSON text: a conversation is at most 256 KiB, here in hex
_MAX_MESSAGES: Final = 200
_MAX_TEXT: Final = 300
_MAX_MICROSECONDS: Final = 10**9
_SECRET_BYTES: Final = frozenset({32, 48})

T = TypeVar("T")


class RecordingError(MtlsError):
    """This is not a recorded handshake; save one, and open that file."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A handshake with what was known about it: who was the client, who the server, and when.

    `is_in_memory` says that both ends were in one process.
    """

    client: str
    server: str
    recorded_at: dt.datetime
    attempt: Attempt
    is_in_memory: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON's types: bytes in hexadecimal, times in microseconds."""
        seen = self.attempt
        return {
            "format": FORMAT,
            "client": self.client,
            "server": self.server,
            "recorded_at": self.recorded_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "is_in_memory": self.is_in_memory,
            "host": seen.target.host,
            "port": seen.target.port,
            "name": seen.target.name,
            "is_finished": seen.is_finished,
            "is_resumed": seen.is_resumed,
            "cipher": seen.cipher,
            "alpn": seen.alpn or "",
            "verdict": seen.verdict,
            "error": seen.error,
            "ending": seen.ending.value,
            "messages": [
                {
                    "direction": each.direction.value,
                    "content_type": each.content_type.value,
                    "version": each.version,
                    "microseconds": microseconds(each.seconds),
                    "hex": each.body.hex(),
                }
                for each in seen.messages
            ],
            "flights": [
                {
                    "direction": each.direction.value,
                    "microseconds": microseconds(each.seconds),
                    "hex": each.data.hex(),
                }
                for each in seen.flights
            ],
            "secrets": {label: secret.hex() for label, secret in seen.secrets.items()},
        }


def microseconds(seconds: float) -> int:
    """Return a time since the connection as it is shown."""
    return round(seconds * 1_000_000)


def from_json(content: object) -> Recording:
    """Read what `to_json` returned. Raises `RecordingError`, which names what is wrong."""
    fields = _Fields(content, "the file")
    if fields.get("format") != FORMAT:
        raise RecordingError(f"The file is no recorded handshake: its format is not {FORMAT}.")
    attempt = Attempt(
        Target(fields.text("host"), fields.number("port", 2**16), fields.text("name")),
        is_finished=fields.flag("is_finished"),
        is_resumed=fields.flag("is_resumed"),
        cipher=fields.text("cipher"),
        alpn=fields.text("alpn") or None,
        verdict=fields.text("verdict"),
        error=fields.text("error"),
        ending=fields.one_of("ending", Ending),
        messages=fields.each("messages", _message),
        flights=fields.each("flights", _flight),
        secrets=_secrets(_Fields(fields.get("secrets"), "secrets")),
    )
    attempt.version = VERSIONS.get(attempt.hello_version)
    attempt.answer = b"".join(
        each.body
        for each in attempt.messages
        if each.content_type is ContentType.DATA and each.direction is Direction.RECEIVED
    )
    return Recording(
        fields.text("client"),
        fields.text("server"),
        fields.moment("recorded_at"),
        attempt,
        fields.flag("is_in_memory"),
    )


class _Fields:
    """A JSON object from a stranger: each field is of its type and size, or it is an error."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, Mapping):
            raise RecordingError(f"The recording is damaged: {where} is not an object.")
        self._content: Mapping[str, object] = content
        self._where = where

    def get(self, name: str) -> object:
        return self._content.get(name)

    def names(self) -> list[str]:
        return list(self._content)

    def wrong(self, name: str) -> RecordingError:
        return RecordingError(f"The recording is damaged: {name} in {self._where} is not as saved.")

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise self.wrong(name)
        return value

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name)
        return value

    def number(self, name: str, below: int) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
            raise self.wrong(name)
        return value

    def one_of(self, name: str, kind: Callable[[Any], T]) -> T:
        try:
            return kind(self.get(name))
        except ValueError as error:
            raise self.wrong(name) from error

    def octets(self, name: str) -> bytes:
        value = self.get(name)
        try:
            return bytes.fromhex(value if isinstance(value, str) else "?")
        except ValueError as error:
            raise self.wrong(name) from error

    def moment(self, name: str) -> dt.datetime:
        try:
            return dt.datetime.strptime(self.text(name), "%Y-%m-%dT%H:%M:%SZ").replace(
                tzinfo=dt.UTC
            )
        except ValueError as error:
            raise self.wrong(name) from error

    def each(self, name: str, read: "Callable[[_Fields], T]") -> list[T]:
        value = self.get(name)
        if not isinstance(value, list) or len(value) > _MAX_MESSAGES:
            raise self.wrong(name)
        return [read(_Fields(each, f"{name}[{number}]")) for number, each in enumerate(value)]


def _message(fields: _Fields) -> Message:
    return Message(
        fields.one_of("direction", Direction),
        fields.one_of("content_type", ContentType),
        fields.number("version", 2**16),
        fields.octets("hex"),
        fields.number("microseconds", _MAX_MICROSECONDS) / 1_000_000,
    )


def _flight(fields: _Fields) -> Flight:
    return Flight(
        fields.one_of("direction", Direction),
        fields.octets("hex"),
        fields.number("microseconds", _MAX_MICROSECONDS) / 1_000_000,
    )


def _secrets(fields: _Fields) -> dict[str, bytes]:
    found = {}
    for label in fields.names():
        if label not in LABELS or len(secret := fields.octets(label)) not in _SECRET_BYTES:
            raise fields.wrong("a secret")
        found[label] = secret
    return found
