"""TLS records: how messages lie on the wire, and what opens those that are encrypted.

RFC 8446, section 5 (TLS 1.3), and RFC 5246, section 6 with RFC 5288 and RFC 7905 (TLS 1.2).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from doctor.codes import TLS_1_2, TLS_1_3, cipher_suites
from doctor.connection import Flight
from doctor.messages import RETRY, Kind, Reader, body_of, version_chosen
from doctor.watch import ContentType, Direction, Message

HEADER_BYTES: Final = 5
_MAX_RECORD_BYTES: Final = 2**14 + 256  # RFC 8446, section 5.2; 1.2 allows more, nobody uses it
_TAG_BYTES: Final = 16
_TYPES: Final = frozenset(ContentType)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it went over the network; `number` counts those of both sides, from 0.

    `is_encrypted` says whether its content is. `plain` is that content: as it was sent, or opened,
    or None if no secret opens it. `content_type` is that of the content, as far as it is known.
    `key` names the secret that opens it, `sequence` is its number under that secret.
    """

    number: int
    direction: Direction
    data: bytes
    seconds: float
    is_encrypted: bool = False
    content_type: ContentType | None = None
    plain: bytes | None = None
    key: str = ""
    sequence: int = 0


def records_of(flights: Iterable[Flight], secrets: Mapping[str, bytes]) -> list[Record]:
    """Split what was sent into records, and open what the secrets open.

    What is no TLS ends the list of its side.
    """
    opener = _Opener(secrets)
    for flight in flights:
        for data in opener.sides[flight.direction].split(flight.data):
            opener.read(flight.direction, data, flight.seconds)
    return opener.records


class _Opener:
    """Follows both sides, since the keys come out of what both of them said."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self.records: list[Record] = []
        self.sides = {direction: _Side(direction) for direction in Direction}
        self._secrets = secrets
        self._randoms: dict[Direction, bytes] = {}
        self._suite = ""

    def read(self, direction: Direction, data: bytes, seconds: float) -> None:
        """Add a record, and see whether it brings new keys."""
        side = self.sides[direction]
        record = side.read(len(self.records), data, seconds)
        self.records.append(record)
        if record.plain is None:
            return
        if record.content_type is ContentType.CHANGE_CIPHER_SPEC and side.version == TLS_1_2:
            side.is_protected = True  # with keys of which ServerHello knew already
        if record.content_type is ContentType.HANDSHAKE:
            for message in side.messages_in(record.plain):
                self._follow(side, message)

    def _follow(self, side: "_Side", message: bytes) -> None:
        match message[0]:
            case Kind.CLIENT_HELLO:
                self._randoms[side.direction] = message[6:38]
            case Kind.SERVER_HELLO if message[6:38] != RETRY:
                self._randoms[side.direction] = message[6:38]
                self._on_hello(message)
            case Kind.FINISHED if side.version == TLS_1_3:
                side.keys = _tls13_keys(f"{side.name}_TRAFFIC_SECRET_0", self._secrets, self._suite)
            case _:
                pass

    def _on_hello(self, message: bytes) -> None:
        """Take up what the server chose."""
        hello = Message(Direction.RECEIVED, ContentType.HANDSHAKE, 0, message, 0.0)
        version = version_chosen([hello])
        reader = body_of(hello)
        reader.take(2 + 32)
        reader.vector(1)
        self._suite = cipher_suites().get(reader.number(2), "")
        for side in self.sides.values():
            side.version, side.is_protected = version, version == TLS_1_3
            if version == TLS_1_3:
                label = f"{side.name}_HANDSHAKE_TRAFFIC_SECRET"
                side.keys = _tls13_keys(label, self._secrets, self._suite)
            else:
                side.keys = _tls12_keys(side.direction, self._secrets, self._randoms, self._suite)


@dataclass(slots=True)
class _Keys:
    """What opens the records of one side, one after the other."""

    label: str
    aead: AESGCM | ChaCha20Poly1305
    iv: bytes
    is_tls13: bool
    sequence: int = 0

    def open(self, data: bytes) -> bytes:
        """Return what is in a record. Raises `InvalidTag`."""
        header, body = data[:HEADER_BYTES], data[HEADER_BYTES:]
        number = self.sequence.to_bytes(8, "big")
        if self.is_tls13 or isinstance(self.aead, ChaCha20Poly1305):
            nonce = bytes(a ^ b for a, b in zip(self.iv, number.rjust(12, b"\0"), strict=True))
        else:  # RFC 5288, section 3: half of the nonce is sent
            nonce, body = self.iv + body[:8], body[8:]
        if len(body) < _TAG_BYTES:
            raise InvalidTag
        length = (len(body) - _TAG_BYTES).to_bytes(2, "big")
        extra = header if self.is_tls13 else number + header[:3] + length
        plain = self.aead.decrypt(nonce, body, extra)
        self.sequence += 1
        return plain


@dataclass(slots=True)
class _Side:
    """One side's bytes, and the keys that it writes with."""

    direction: Direction
    version: int = 0
    is_protected: bool = False
    keys: _Keys | None = None
    is_tls: bool = True
    _left: bytes = b""
    _messages: bytes = b""

    @property
    def name(self) -> str:
        """How the key log calls it."""
        return "CLIENT" if self.direction is Direction.SENT else "SERVER"

    def split(self, data: bytes) -> Iterator[bytes]:
        """Yield each record that is complete."""
        self._left += data
        while self.is_tls and len(self._left) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._left[3:HEADER_BYTES], "big")
            self.is_tls = self._left[0] in _TYPES and end <= _MAX_RECORD_BYTES
            if not self.is_tls or len(self._left) < end:
                return
            record, self._left = self._left[:end], self._left[end:]
            yield record

    def read(self, number: int, data: bytes, seconds: float) -> Record:
        """Return a record, opened if that is possible."""
        outer, begin = ContentType(data[0]), Record(number, self.direction, data, seconds)
        is_encrypted = self.is_protected and (
            self.version == TLS_1_2 or outer is ContentType.DATA  # RFC 8446, section 5.2
        )
        if not is_encrypted:
            return replace(begin, content_type=outer, plain=data[HEADER_BYTES:])
        begin = replace(begin, is_encrypted=True)
        if (keys := self.keys) is None:
            return begin
        try:
            sequence, plain = keys.sequence, keys.open(data)
            if keys.is_tls13:  # the type stands last, and padding behind it (section 5.4)
                plain = plain.rstrip(b"\0")
                outer, plain = ContentType(plain[-1]), plain[:-1]
        except (InvalidTag, IndexError, ValueError):
            self.keys = None
            return begin
        return replace(begin, content_type=outer, plain=plain, key=keys.label, sequence=sequence)

    def messages_in(self, plain: bytes) -> Iterator[bytes]:
        """Yield the handshake messages that this content completes."""
        self._messages += plain
        while len(self._messages) >= 4:
            length = 4 + int.from_bytes(self._messages[1:4], "big")
            if len(self._messages) < length:
                return
            message, self._messages = self._messages[:length], self._messages[length:]
            yield message


_TLS13: Final[Mapping[str, tuple[type[AESGCM | ChaCha20Poly1305], int, hashes.HashAlgorithm]]] = {
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, hashes.SHA384()),
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, hashes.SHA256()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, hashes.SHA256()),
}


def _tls13_keys(label: str, secrets: Mapping[str, bytes], suite: str) -> _Keys | None:
    if suite not in _TLS13 or label not in secrets:
        return None
    aead, key_bytes, algorithm = _TLS13[suite]
    key = expand_label(secrets[label], "key", key_bytes, algorithm)
    iv = expand_label(secrets[label], "iv", 12, algorithm)
    return _Keys(label, aead(key), iv, is_tls13=True)


def expand_label(secret: bytes, label: str, length: int, algorithm: hashes.HashAlgorithm) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, section 7.1)."""
    name = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return HKDFExpand(algorithm, length, info).derive(secret)


def _tls12_keys(
    direction: Direction,
    secrets: Mapping[str, bytes],
    randoms: Mapping[Direction, bytes],
    suite: str,
) -> _Keys | None:
    """Return one side's keys (RFC 5246, section 6.3); of AEAD suites alone."""
    label = "CLIENT_RANDOM"
    algorithm = hashes.SHA384() if suite.endswith("SHA384") else hashes.SHA256()
    if label not in secrets or len(randoms) < 2 or not ("CHACHA20" in suite or "GCM" in suite):
        return None
    is_gcm = "GCM" in suite
    key_bytes, iv_bytes = 16 if "AES128" in suite else 32, 4 if is_gcm else 12
    seed = b"key expansion" + randoms[Direction.RECEIVED] + randoms[Direction.SENT]
    block = Reader(_expand(secrets[label], seed, 2 * (key_bytes + iv_bytes), algorithm))
    keys = [block.take(key_bytes), block.take(key_bytes)]
    ivs = [block.take(iv_bytes), block.take(iv_bytes)]
    side = 0 if direction is Direction.SENT else 1
    aead = AESGCM(keys[side]) if is_gcm else ChaCha20Poly1305(keys[side])
    return _Keys(label, aead, ivs[side], is_tls13=False)


def _expand(secret: bytes, seed: bytes, length: int, algorithm: hashes.HashAlgorithm) -> bytes:
    """P_hash (RFC 5246, section 5)."""
    out, chain = b"", seed
    while len(out) < length:
        chain = _hmac(secret, chain, algorithm)
        out += _hmac(secret, chain + seed, algorithm)
    return out[:length]


def _hmac(key: bytes, data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    made = hmac.HMAC(key, algorithm)
    made.update(data)
    return made.finalize()
