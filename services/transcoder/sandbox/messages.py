"""What the decoding process says to its supervisor: one JSON object a line.

The supervisor believes none of it: the process may have been taken over by what it decodes.
"""

import json
from dataclasses import asdict, dataclass
from typing import Final

from transcoder.job import Made

MAX_LINE_BYTES: Final = 4096
THOUSANDTHS: Final = 1000

_MAX_TEXT: Final = 200
_MAX_SIDE: Final = 16_384  # what H.264 can hold
_MAX_SECONDS: Final = 1_000_000


class BadMessage(ValueError):
    """The decoding process does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the source is done; every message has a larger number than the one before."""

    thousandths: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last message, after success."""

    files: tuple[Made, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The last message, after failure: the name of an error, and what it says."""

    error: str
    text: str


Message = Progress | Finished | Failed


def encode(message: Message) -> bytes:
    """Return the line that says it."""
    match message:
        case Progress(thousandths):
            content: object = {"progress": thousandths}
        case Finished(files):
            content = {"files": [asdict(made) for made in files]}
        case Failed(error, text):
            content = {"error": error, "text": text}
    return json.dumps(content).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read one line. Raises `BadMessage` for whatever `encode` does not write."""
    try:
        match json.loads(line):
            case {"progress": int(thousandths)} if 0 <= thousandths < THOUSANDTHS:
                return Progress(thousandths)
            case {"files": list(files)}:
                return Finished(tuple(_made(**made) for made in files))
            case {"error": str(name), "text": str(text)} if text.isprintable():
                return Failed(name, text[:_MAX_TEXT])
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMessage from error
    raise BadMessage


def _made(*, name: object, width: object, height: object, duration_seconds: object) -> Made:
    match name, width, height, duration_seconds:
        case str(), int(), int(), int() | float() if (
            0 < width <= _MAX_SIDE
            and 0 < height <= _MAX_SIDE
            and 0 <= duration_seconds <= _MAX_SECONDS
        ):
            return Made(name, width, height, float(duration_seconds))
    raise BadMessage
