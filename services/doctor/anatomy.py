"""Every byte of a message, named: what the page about a handshake shows.

A message is cut into parts without gap or overlap. What cannot be read is a part that says so: the
bytes come from the other side, or from a file, and nothing of them is believed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from doctor.codes import (
    GROUPS,
    SIGNATURES,
    TLS_1_3,
    VERSIONS,
    alert_named,
    cipher_suites,
    named,
)
from doctor.messages import DecodeError, Kind
from doctor.watch import ContentType, Message


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `begin` to `end` of a message. A group has parts of its own behind it, one deeper."""

    begin: int
    end: int
    depth: int
    label: str
    text: str = ""
    is_group: bool = False


class Anatomist:
    """Cuts bytes into parts from their beginning to their end.

    Raises `DecodeError` when something is announced that is not there.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.parts: list[Part] = []
        self.depth = 0
        self._ends = [len(data)]

    @property
    def left(self) -> int:
        """How many bytes the innermost vector still has."""
        return self._ends[-1] - self.position

    def peek(self, count: int) -> bytes:
        """Return the next bytes without taking them."""
        return self.data[self.position : min(self.position + count, self._ends[-1])]

    def take(self, count: int, label: str, text: str = "") -> bytes:
        """Take a part of `count` bytes."""
        if count > self.left:
            raise DecodeError(f"{count} bytes are announced, and {self.left} are there.")
        begin, self.position = self.position, self.position + count
        if count:
            self.parts.append(Part(begin, self.position, self.depth, label, text))
        return self.data[begin : self.position]

    def number(self, size: int, label: str, say: Callable[[int], str] = str) -> int:
        """Take a number of `size` bytes, and say what it means."""
        number = int.from_bytes(self.peek(size), "big")
        self.take(size, label, say(number))
        return number

    def named(self, size: int, label: str, names: Mapping[int, str]) -> int:
        """Take a number that has a name."""
        return self.number(size, label, lambda number: named(number, names))

    @contextmanager
    def group(self, label: str, text: str = "") -> Iterator[None]:
        """Put the parts that follow under one heading."""
        place, begin = len(self.parts), self.position
        self.parts.append(Part(begin, begin, self.depth, label, text, is_group=True))
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            self.parts[place] = Part(begin, self.position, self.depth, label, text, is_group=True)

    @contextmanager
    def within(self, count: int) -> Iterator[None]:
        """Read no further than `count` bytes; what is left of them at the end is taken as it is."""
        if count > self.left:
            raise DecodeError(f"{count} bytes are announced, and {self.left} are there.")
        self._ends.append(self.position + count)
        try:
            yield
            self.take(self.left, "more", "not read here")
        finally:
            self._ends.pop()

    @contextmanager
    def vector(self, size: int, label: str) -> Iterator[None]:
        """Take a length of `size` bytes, and read what lies behind it."""
        length = self.number(size, f"length of the {label}", _bytes)
        with self.within(length):
            yield

    def rest(self, label: str, text: str = "") -> bytes:
        """Take everything that is left."""
        return self.take(self.left, label, text)


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count:,} bytes"


def anatomy(message: Message) -> list[Part]:
    """Cut a message into parts; those that are no groups cover every byte exactly once."""
    cut = Anatomist(message.body)
    try:
        _READERS[message.content_type](cut, message)
    except (DecodeError, RecursionError) as error:
        cut.parts = [part for part in cut.parts if part.end > part.begin or part.is_group]
        _take_all(cut, "unreadable", str(error))
    else:
        _take_all(cut, "more", "not read here")
    return cut.parts


def _take_all(cut: Anatomist, label: str, text: str) -> None:
    if count := len(cut.data) - cut.position:
        cut.parts.append(Part(cut.position, cut.position + count, 0, label, text))


def _handshake(cut: Anatomist, message: Message) -> None:
    kind = cut.number(1, "message type", lambda number: KINDS.get(number, f"type {number}"))
    with cut.within(cut.number(3, "length of the message", _bytes)):
        if reader := _MESSAGES.get(kind):
            reader(cut, message.version == TLS_1_3)
        else:
            cut.rest("body")


def _client_hello(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    cut.named(2, "old version field", _FOREVER)
    cut.take(32, "client random", "fresh for this handshake: no recording can be played again")
    with cut.vector(1, "session id"):
        cut.rest("session id", "means nothing in TLS 1.3: it is there for old middleboxes")
    with cut.group("cipher suites", "in the order of preference"), cut.vector(2, "list"):
        while cut.left:
            cut.named(2, "suite", _suites())
    with cut.vector(1, "compression methods"):
        while cut.left:
            cut.number(1, "method", lambda number: "none" if number == 0 else "unsafe")
    _extensions(cut, is_hello=True)


def _server_hello(cut: Anatomist, is_tls13: bool) -> None:  # noqa: FBT001
    cut.named(2, "old version field", _FOREVER if is_tls13 else VERSIONS)
    cut.take(32, "server random", "fresh for this handshake: no recording can be played again")
    with cut.vector(1, "session id"):
        cut.rest("session id", "the client's, sent back")
    cut.named(2, "cipher suite chosen", _suites())
    cut.number(1, "compression chosen", lambda number: "none" if number == 0 else "unsafe")
    if cut.left:
        _extensions(cut)


def _encrypted_extensions(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    _extensions(cut)


def _certificate_request(cut: Anatomist, is_tls13: bool) -> None:  # noqa: FBT001
    if is_tls13:
        with cut.vector(1, "request context"):
            cut.rest("context")
        _extensions(cut)
        return
    with cut.vector(1, "certificate types"):
        while cut.left:
            cut.named(1, "type", {1: "RSA", 64: "ECDSA"})
    _signature_algorithms(cut)
    _authorities(cut)


def _certificate(cut: Anatomist, is_tls13: bool) -> None:  # noqa: FBT001
    from doctor.der_anatomy import certificate

    if is_tls13:
        with cut.vector(1, "request context"):
            cut.rest("context")
    with cut.vector(3, "list of certificates"):
        count = 0
        while cut.left:
            count += 1
            with cut.group(f"certificate {count}", "the leaf" if count == 1 else "an issuing CA"):
                with cut.vector(3, "certificate"):
                    certificate(cut)
                if is_tls13:
                    _extensions(cut)


def _certificate_verify(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    from doctor.der_anatomy import element

    cut.named(2, "signature algorithm", SIGNATURES)
    with cut.vector(2, "signature"):
        if cut.peek(1) == b"\x30":
            element(cut, "ECDSA signature", ("r", "s"))
        cut.rest("signature")


def _server_key_exchange(cut: Anatomist, is_tls13: bool) -> None:  # noqa: FBT001
    cut.named(1, "kind of curve", {3: "a named curve"})
    cut.named(2, "group", GROUPS)
    with cut.vector(1, "public key"):
        cut.rest("public key", "the server's half of the key exchange")
    _certificate_verify(cut, is_tls13)


def _client_key_exchange(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    with cut.vector(1, "public key"):
        cut.rest("public key", "the client's half of the key exchange")


def _finished(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    cut.rest("verify data", "a keyed hash (HMAC) over every message so far")


def _new_session_ticket(cut: Anatomist, is_tls13: bool) -> None:  # noqa: FBT001
    cut.number(4, "lifetime", lambda number: f"{number:,} seconds")
    if not is_tls13:
        with cut.vector(2, "ticket"):
            cut.rest("ticket", "for the server alone to read")
        return
    cut.take(4, "age added", "hides from a wiretap how old the ticket is")
    with cut.vector(1, "nonce"):
        cut.rest("nonce", "makes each ticket's key another")
    with cut.vector(2, "ticket"):
        cut.rest("ticket", "for the server alone to read")
    _extensions(cut)


def _key_update(cut: Anatomist, _is_tls13: bool) -> None:  # noqa: FBT001
    cut.named(1, "request", {0: "no answer wanted", 1: "the other side is to change its keys too"})


# Extensions: RFC 8446, section 4.2, and where a line says so.


def _extensions(cut: Anatomist, *, is_hello: bool = False) -> None:
    with cut.group("extensions"), cut.vector(2, "extensions"):
        while cut.left:
            kind = int.from_bytes(cut.peek(2), "big")
            with cut.group(EXTENSIONS.get(kind, f"extension {kind}")):
                cut.number(2, "extension type")
                with cut.vector(2, "extension"):
                    _EXTENSION_READERS.get(kind, _raw)(cut, is_hello)


def _raw(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    cut.rest("content")


def _server_name(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    if cut.left:
        with cut.vector(2, "list"):
            cut.named(1, "kind of name", {0: "a host name"})
            with cut.vector(2, "name"):
                cut.rest("name", _ascii(cut.peek(cut.left)))


def _groups(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    with cut.vector(2, "list"):
        while cut.left:
            cut.named(2, "group", GROUPS)


def _point_formats(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    with cut.vector(1, "list"):
        while cut.left:
            cut.named(1, "format", {0: "uncompressed", 1: "compressed", 2: "compressed, binary"})


def _signature_algorithms(cut: Anatomist, _is_hello: bool = True) -> None:  # noqa: FBT001, FBT002
    with cut.vector(2, "list"):
        while cut.left:
            cut.named(2, "algorithm", SIGNATURES)


def _alpn(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    with cut.vector(2, "list"):
        while cut.left:
            with cut.vector(1, "protocol"):
                cut.rest("protocol", _ascii(cut.peek(cut.left)))


def _supported_versions(cut: Anatomist, is_hello: bool) -> None:  # noqa: FBT001
    if not is_hello:
        cut.named(2, "version chosen", VERSIONS)
        return
    with cut.vector(1, "list"):
        while cut.left:
            cut.named(2, "version", VERSIONS)


def _key_share(cut: Anatomist, is_hello: bool) -> None:  # noqa: FBT001
    if is_hello:
        with cut.vector(2, "list"):
            while cut.left:
                _key_share_entry(cut, "the client's half of the key exchange")
    elif cut.left:
        _key_share_entry(cut, "the server's half: with it both compute the same secret")


def _key_share_entry(cut: Anatomist, text: str) -> None:
    cut.named(2, "group", GROUPS)
    if cut.left:  # a HelloRetryRequest names the group alone
        with cut.vector(2, "public key"):
            cut.rest("public key", text)


def _psk_modes(cut: Anatomist, _is_hello: bool) -> None:  # noqa: FBT001
    with cut.vector(1, "list"):
        while cut.left:
            cut.named(1, "mode", {0: "the old key alone", 1: "with a new key exchange"})


def _pre_shared_key(cut: Anatomist, is_hello: bool) -> None:  # noqa: FBT001
    if not is_hello:
        cut.number(2, "ticket chosen", lambda number: f"number {number + 1} of those offered")
        return
    with cut.group("tickets"), cut.vector(2, "list"):
        while cut.left:
            with cut.vector(2, "ticket"):
                cut.rest("ticket", "as the server gave it")
            cut.take(4, "age of the ticket", "hidden by what the server said to add")
    with cut.group("binders"), cut.vector(2, "list"):
        while cut.left:
            with cut.vector(1, "binder"):
                cut.rest("binder", "proves that the client has the key that goes with the ticket")


def _authorities(cut: Anatomist, _is_hello: bool = False) -> None:  # noqa: FBT001, FBT002
    from doctor.der_anatomy import name

    with cut.vector(2, "list"):
        while cut.left:
            with cut.vector(2, "name"):
                name(cut, "name of a CA")


_EXTENSION_READERS: Final[Mapping[int, Callable[[Anatomist, bool], None]]] = {
    0: _server_name,
    10: _groups,
    11: _point_formats,
    13: _signature_algorithms,
    16: _alpn,
    41: _pre_shared_key,
    43: _supported_versions,
    45: _psk_modes,
    47: _authorities,
    50: _signature_algorithms,
    51: _key_share,
}

EXTENSIONS: Final[Mapping[int, str]] = {
    0: "server_name: whom the client dials",
    5: "status_request: asks for OCSP",
    10: "supported_groups: for the key exchange",
    11: "ec_point_formats: for TLS 1.2",
    13: "signature_algorithms: which signatures are accepted",
    16: "ALPN: what is spoken inside",
    18: "signed_certificate_timestamp",
    21: "padding",
    22: "encrypt_then_mac: for TLS 1.2",
    23: "extended_master_secret: for TLS 1.2",
    27: "compress_certificate",
    28: "record_size_limit",
    35: "session_ticket: for TLS 1.2",
    41: "pre_shared_key: resumes a session",
    42: "early_data",
    43: "supported_versions: where the version is really chosen",
    44: "cookie",
    45: "psk_key_exchange_modes: how a session may be resumed",
    47: "certificate_authorities: whose certificates are wanted",
    49: "post_handshake_auth: the server may ask later",
    50: "signature_algorithms_cert",
    51: "key_share: half of a key exchange",
    65281: "renegotiation_info: for TLS 1.2",
}

_FOREVER: Final = {0x0303: "TLS 1.2, as TLS 1.3 says for ever: the true one is an extension"}

KINDS: Final[Mapping[int, str]] = {
    kind.value: "".join(word.capitalize() for word in kind.name.split("_")) for kind in Kind
}

_MESSAGES: Final[Mapping[int, Callable[[Anatomist, bool], None]]] = {
    Kind.CLIENT_HELLO: _client_hello,
    Kind.SERVER_HELLO: _server_hello,
    Kind.NEW_SESSION_TICKET: _new_session_ticket,
    Kind.ENCRYPTED_EXTENSIONS: _encrypted_extensions,
    Kind.CERTIFICATE: _certificate,
    Kind.SERVER_KEY_EXCHANGE: _server_key_exchange,
    Kind.CERTIFICATE_REQUEST: _certificate_request,
    Kind.CERTIFICATE_VERIFY: _certificate_verify,
    Kind.CLIENT_KEY_EXCHANGE: _client_key_exchange,
    Kind.FINISHED: _finished,
    Kind.KEY_UPDATE: _key_update,
}


def _alert(cut: Anatomist, _message: Message) -> None:
    cut.named(1, "level", {1: "warning", 2: "fatal"})
    cut.number(1, "description", lambda number: f"{alert_named(number).name} ({number})")


def _change_cipher_spec(cut: Anatomist, message: Message) -> None:
    text = (
        "means nothing: for old middleboxes (RFC 8446, appendix D.4)"
        if message.version == TLS_1_3
        else "what this side sends from here on is encrypted"
    )
    cut.take(1, "change_cipher_spec", text)


def _data(cut: Anatomist, _message: Message) -> None:
    """HTTP/1.1 line by line, HTTP/2 frame by frame; anything else as it is."""
    if cut.data.startswith(_PREFACE):
        cut.take(len(_PREFACE), "HTTP/2 connection preface", "PRI * HTTP/2.0")
        _frames(cut)
    elif cut.data.startswith((b"GET ", b"HTTP/")):
        _http(cut)
    elif len(cut.data) >= _FRAME_HEADER_BYTES and cut.data[3] < len(_FRAMES):
        _frames(cut)
    else:
        cut.rest("data", _ascii(cut.data[:64]))


def _http(cut: Anatomist) -> None:
    label = "request line" if cut.data.startswith(b"GET ") else "status line"
    while cut.left:
        line, found, _ = cut.peek(cut.left).partition(b"\r\n")
        if not found:
            break
        text = _ascii(line)
        cut.take(len(line) + 2, label if line else "end of the headers", text)
        label = "header"
        if not line:
            break
    cut.rest("body", _ascii(cut.peek(min(cut.left, 200))))


_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEADER_BYTES: Final = 9
_FRAMES: Final = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)


def _frames(cut: Anatomist) -> None:
    """RFC 9113, section 4.1."""
    while cut.left:
        kind = cut.peek(4)[-1]
        with cut.group(f"{_FRAMES[kind] if kind < len(_FRAMES) else 'unknown'} frame"):
            length = cut.number(3, "length of the payload", _bytes)
            cut.take(1, "frame type", str(kind))
            cut.take(1, "flags")
            cut.take(4, "stream", "0 is the connection itself")
            cut.take(min(length, cut.left), "payload")


def _ascii(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")


def _suites() -> Mapping[int, str]:
    return {**cipher_suites(), 0x00FF: "no suite: says that renegotiation is safe (RFC 5746)"}


_READERS: Final[Mapping[ContentType, Callable[[Anatomist, Message], None]]] = {
    ContentType.HANDSHAKE: _handshake,
    ContentType.ALERT: _alert,
    ContentType.CHANGE_CIPHER_SPEC: _change_cipher_spec,
    ContentType.DATA: _data,
}
