"""Handshake messages, read for the checks: from the bytes up to what they say of certificates."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from mtls.errors import MtlsError

from doctor.codes import TLS_1_3, named
from doctor.watch import ContentType, Direction, Message


class DecodeError(MtlsError):
    """These bytes are not the TLS structure that they should be."""


# TLS's own notation: numbers, and vectors with their length before them (RFC 8446, section 3).


class Reader:
    """Reads a structure from its beginning to its end. Raises `DecodeError` when it is too short.

    What it reads comes from the other side: nothing is believed, and nothing is copied but slices.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __len__(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > len(self):
            raise DecodeError(f"{count} bytes are announced, and {len(self)} are there.")
        begin = self._position
        self._position += count
        return self._data[begin : self._position]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "Reader":
        """Return what lies behind a length of `size` bytes."""
        return Reader(self.take(self.number(size)))

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(len(self))

    def numbers(self, size: int) -> Iterator[int]:
        """Yield everything that is left as numbers of `size` bytes."""
        while len(self):
            yield self.number(size)

    def vectors(self, size: int) -> Iterator["Reader"]:
        """Yield everything that is left as vectors."""
        while len(self):
            yield self.vector(size)


# Certificates that travel compressed (RFC 8879), as OpenSSL 3.2 and newer send them when asked. Of
# the three algorithms Python can read zlib. The doctor asks servers for none of them, so that it
# can read what they present. What it sends is compressed when the server asks for that.

_ZLIB: Final = 1
_ALGORITHMS: Final[Mapping[int, str]] = {_ZLIB: "zlib", 2: "brotli", 3: "zstd"}
_MAX_BYTES: Final = 256 * 1024  # of a chain: what is longer would be there to fill our memory


@dataclass(frozen=True, slots=True)
class CompressedCertificate:
    """A Certificate message, compressed; `length` is how many bytes it has when it is not."""

    algorithm: int
    length: int
    data: bytes

    @classmethod
    def read(cls, body: Reader) -> Self:
        """Read a CompressedCertificate message (RFC 8879, section 4). Raises `DecodeError`."""
        return cls(body.number(2), body.number(3), body.vector(3).rest())

    @property
    def name(self) -> str:
        """The name of the algorithm."""
        return named(self.algorithm, _ALGORITHMS)

    def decompressed(self) -> Reader:
        """Return the Certificate message, without its header. Raises `DecodeError`."""
        if self.algorithm != _ZLIB:
            raise DecodeError(f"It is compressed with {self.name}, and only zlib can be read here.")
        try:
            message = zlib.decompressobj().decompress(self.data, _MAX_BYTES)
        except zlib.error as error:
            raise DecodeError(f"It cannot be decompressed: {error}") from error
        if len(message) != self.length:
            raise DecodeError(f"{self.length} bytes are announced, and {len(message)} came out.")
        return Reader(message)


# Distinguished names as a server sends them: DER (X.690), apart from any certificate.

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


# Messages: RFC 8446, section 4 (TLS 1.3), and RFC 5246, section 7.4 (TLS 1.2).


class Kind(IntEnum):
    """Types of handshake messages."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25


_CERTIFICATES: Final = (Kind.CERTIFICATE, Kind.COMPRESSED_CERTIFICATE)


class Extension(IntEnum):
    """Types of extensions, as far as they are read here."""

    SERVER_NAME = 0
    SUPPORTED_GROUPS = 10
    SIGNATURE_ALGORITHMS = 13
    ALPN = 16
    SUPPORTED_VERSIONS = 43
    CERTIFICATE_AUTHORITIES = 47
    KEY_SHARE = 51


# RFC 8446, section 4.1.3: a ServerHello with this random (SHA-256 of the name) is no ServerHello.
RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

_HEADER_BYTES: Final = 4  # type and length
_EMPTY_CERTIFICATE_BYTES: Final = 4  # TLS 1.3: no request context, and a list of no certificates


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a server asks of its clients; no `authorities` means that it names no CA."""

    authorities: tuple[DistinguishedName, ...]
    signature_algorithms: tuple[int, ...]


def kind_of(message: Message) -> int | None:
    """Return the type of a handshake message; None for anything else."""
    if message.content_type is not ContentType.HANDSHAKE or not message.body:
        return None
    return message.body[0]


def body_of(message: Message) -> Reader:
    """Return what lies behind the header of a handshake message."""
    return Reader(message.body[_HEADER_BYTES:])


def of_kind(messages: Iterable[Message], direction: Direction, *kinds: Kind) -> Iterator[Message]:
    """Yield the handshake messages of these types."""
    return (each for each in messages if each.direction is direction and kind_of(each) in kinds)


def extensions(reader: Reader) -> dict[int, Reader]:
    """Read a list of extensions. Raises `DecodeError`."""
    found, block = {}, reader.vector(2)
    while len(block):
        kind = block.number(2)
        found[kind] = block.vector(2)
    return found


def certificates_in(message: Message) -> tuple[bytes, ...]:
    """Return the certificates of a Certificate message, in DER, also of one that is compressed.

    Raises `DecodeError`.
    """
    reader, found = body_of(message), []
    if kind_of(message) == Kind.COMPRESSED_CERTIFICATE:
        reader = CompressedCertificate.read(reader).decompressed()
    if message.version == TLS_1_3:
        reader.vector(1)  # certificate_request_context
    block = reader.vector(3)
    while len(block):
        found.append(block.vector(3).rest())
        if message.version == TLS_1_3:
            block.vector(2)  # extensions of this certificate
    return tuple(found)


def request_in(message: Message) -> CertificateRequest:
    """Read a CertificateRequest message. Raises `DecodeError`."""
    reader = body_of(message)
    reader.vector(1)  # 1.3: certificate_request_context, 1.2: certificate_types
    if message.version == TLS_1_3:
        found = extensions(reader)
        algorithms = found.get(Extension.SIGNATURE_ALGORITHMS, Reader(b"\0\0")).vector(2)
        names = found.get(Extension.CERTIFICATE_AUTHORITIES, Reader(b"\0\0")).vector(2)
    else:
        algorithms, names = reader.vector(2), reader.vector(2)
    return CertificateRequest(
        tuple(DistinguishedName(name.rest()) for name in names.vectors(2)),
        tuple(algorithms.numbers(2)),
    )


def alerts(messages: Iterable[Message], direction: Direction) -> list[int]:
    """Return the codes of the alerts that one side sent."""
    return [
        message.body[1]
        for message in messages
        if message.direction is direction
        and message.content_type is ContentType.ALERT
        and len(message.body) == 2
    ]


def server_certificates(messages: Iterable[Message]) -> tuple[bytes, ...] | None:
    """Return what the server presented, in DER; None if it never got that far."""
    for message in of_kind(messages, Direction.RECEIVED, *_CERTIFICATES):
        try:
            return certificates_in(message)
        except DecodeError:
            return ()
    return None


def certificate_request(messages: Iterable[Message]) -> CertificateRequest | None:
    """Return what the server asked for; None if it did not ask."""
    for message in of_kind(messages, Direction.RECEIVED, Kind.CERTIFICATE_REQUEST):
        try:
            return request_in(message)
        except DecodeError:
            return CertificateRequest((), ())
    return None


def has_presented(messages: Iterable[Message]) -> bool:
    """Whether we showed a certificate; an empty Certificate message shows none."""
    return any(map(_shows_one, of_kind(messages, Direction.SENT, *_CERTIFICATES)))


def _shows_one(message: Message) -> bool:
    try:
        if kind_of(message) == Kind.COMPRESSED_CERTIFICATE:  # its algorithm need not be readable
            return CompressedCertificate.read(body_of(message)).length > _EMPTY_CERTIFICATE_BYTES
        return bool(certificates_in(message))
    except DecodeError:  # of a file that was saved: what cannot be read is not empty
        return True


def version_chosen(messages: Iterable[Message]) -> int:
    """Return the number of the TLS version that the server chose; 0 if it chose none.

    A hello's own version field says 1.2 for ever; 1.3 is chosen in an extension (RFC 8446, 4.2.1).
    """
    for message in of_kind(messages, Direction.RECEIVED, Kind.SERVER_HELLO):
        reader = body_of(message)
        try:
            version = reader.number(2)
            _skip_from_version_to_extensions(reader)
            found = extensions(reader) if len(reader) else {}
            if chosen := found.get(Extension.SUPPORTED_VERSIONS):
                return chosen.number(2)
        except DecodeError:
            continue
        return version
    return 0


def protocol_chosen(messages: Iterable[Message]) -> str:
    """Return what the server chose by ALPN (RFC 7301), in whichever message; empty if nothing."""
    for message in messages:
        reader = body_of(message)
        try:
            if message.direction is not Direction.RECEIVED:
                continue
            if kind_of(message) == Kind.SERVER_HELLO:
                reader.take(2)
                _skip_from_version_to_extensions(reader)
            elif kind_of(message) != Kind.ENCRYPTED_EXTENSIONS:
                continue
            if len(reader) and (chosen := extensions(reader).get(Extension.ALPN)):
                return chosen.vector(2).vector(1).rest().decode("ascii", "backslashreplace")
        except DecodeError:
            continue
    return ""


def _skip_from_version_to_extensions(hello: Reader) -> None:
    hello.take(32)  # random
    hello.vector(1)  # session id
    hello.take(2 + 1)  # cipher suite, compression
