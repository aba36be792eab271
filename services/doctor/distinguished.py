"""Distinguished names as a server sends them: DER (X.690) that stands in no certificate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from doctor.errors import DecodeError
from doctor.wire import Reader

_SEQUENCE, _SET, _OID = 0x30, 0x31, 0x06
_ENCODINGS: Final[Mapping[int, str]] = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}
_LONG_LENGTH: Final = 0x80
_SHORT_NAMES: Final[Mapping[str, str]] = {  # RFC 4514, section 3, and what else is common
    "550403": "CN",
    "550406": "C",
    "550407": "L",
    "550408": "ST",
    "55040a": "O",
    "55040b": "OU",
    "550405": "serialNumber",
    "0992268993f22c640119": "DC",
    "2a864886f70d010901": "emailAddress",
}


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """Whose certificates are asked for; two are the same when their `der` is."""

    der: bytes

    def __str__(self) -> str:
        """The name by RFC 4514, the most specific part first."""
        try:
            parts = list(_parts(Reader(self.der)))
        except DecodeError:
            return f"a name that cannot be read ({len(self.der)} bytes)"
        return ",".join(reversed(parts)) or "an empty name"


def _parts(reader: Reader) -> Iterator[str]:
    name = _value(reader, _SEQUENCE)
    while len(name):
        relative, texts = _value(name, _SET), []
        while len(relative):
            attribute = _value(relative, _SEQUENCE)
            kind = _value(attribute, _OID).rest().hex()
            tag, value = _element(attribute)
            text = value.rest().decode(_ENCODINGS.get(tag, "utf-8"), "replace")
            texts.append(f"{_SHORT_NAMES.get(kind, kind)}={text}")
        yield "+".join(texts)


def _value(reader: Reader, expected_tag: int) -> Reader:
    tag, value = _element(reader)
    if tag != expected_tag:
        raise DecodeError(f"Tag {expected_tag} was expected, and {tag} is there.")
    return value


def _element(reader: Reader) -> tuple[int, Reader]:
    tag, length = reader.number(1), reader.number(1)
    if length >= _LONG_LENGTH:
        length = reader.number(length - _LONG_LENGTH)
    return tag, Reader(reader.take(length))
