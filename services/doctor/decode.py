"""What a message says, in the fields that teach something."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from doctor.chain import join
from doctor.codes import (
    GROUPS,
    SIGNATURES,
    TLS_1_3,
    VERSIONS,
    alert_named,
    cipher_suites,
    listed,
    named,
)
from doctor.files import readable_certificate
from doctor.messages import (
    RETRY,
    CompressedCertificate,
    DecodeError,
    Extension,
    Kind,
    Reader,
    body_of,
    certificates_in,
    extensions,
    kind_of,
    request_in,
)
from doctor.names import names_of
from doctor.watch import ContentType, Message

Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message by its name in the specification, and its fields as (name, text)."""

    name: str
    fields: tuple[Field, ...]


def decode(message: Message) -> Decoded:
    """Read any message; what cannot be read is a field that says so."""
    if message.content_type is ContentType.DATA:
        return Decoded("Data", tuple(_data(message.body)))
    if message.content_type is ContentType.CHANGE_CIPHER_SPEC:
        return Decoded("ChangeCipherSpec", tuple(_change_cipher_spec(message)))
    try:
        if message.content_type is ContentType.ALERT:
            return Decoded("Alert", tuple(_alert(Reader(message.body))))
        name, read = _HANDSHAKE.get(kind_of(message), ("Unknown", lambda _: iter(())))
        return Decoded("HelloRetryRequest" if is_retry(message) else name, tuple(read(message)))
    except DecodeError as error:
        return Decoded("Unreadable", (("error", str(error)),))


def is_retry(message: Message) -> bool:
    """Whether this ServerHello asks for another ClientHello, with a key of another group."""
    return kind_of(message) == Kind.SERVER_HELLO and message.body[6:38] == RETRY


def _client_hello(message: Message) -> Iterator[Field]:
    reader = body_of(message)
    reader.take(2 + 32)  # a version that says 1.2 for ever, and the random
    reader.vector(1)
    suites = list(reader.vector(2).numbers(2))
    reader.vector(1)
    found = extensions(reader) if len(reader) else {}
    versions = found.get(Extension.SUPPORTED_VERSIONS)
    numbers = list(versions.vector(1).numbers(2)) if versions else [0x0303]
    yield "versions offered", listed(numbers, VERSIONS)
    yield "cipher suites", listed(suites, cipher_suites())
    if name := found.get(Extension.SERVER_NAME):
        host = name.vector(2)
        host.take(1)
        yield "server name (SNI)", _text(host.vector(2).rest())
    else:
        yield "server name (SNI)", "none: an IP address is dialled"
    if groups := found.get(Extension.SUPPORTED_GROUPS):
        yield "key exchange groups", listed(groups.vector(2).numbers(2), GROUPS)
    if shares := found.get(Extension.KEY_SHARE):
        yield "key share already sent for", listed(_share_groups(shares.vector(2)), GROUPS)
    if algorithms := found.get(Extension.SIGNATURE_ALGORITHMS):
        yield "signatures accepted", listed(algorithms.vector(2).numbers(2), SIGNATURES)
    if protocols := found.get(Extension.ALPN):
        yield "protocols (ALPN)", _protocols(protocols)


def _share_groups(shares: Reader) -> Iterator[int]:
    while len(shares):
        yield shares.number(2)
        shares.vector(2)


def _server_hello(message: Message) -> Iterator[Field]:
    reader = body_of(message)
    version = reader.number(2)
    reader.take(32)
    reader.vector(1)
    suite = reader.number(2)
    reader.take(1)
    found = extensions(reader) if len(reader) else {}
    if chosen := found.get(Extension.SUPPORTED_VERSIONS):
        version = chosen.number(2)
    yield "version chosen", named(version, VERSIONS)
    yield "cipher suite chosen", named(suite, cipher_suites())
    if share := found.get(Extension.KEY_SHARE):
        yield "key exchange group", named(share.number(2), GROUPS)
        yield "from here on", "everything is encrypted"
    if protocol := found.get(Extension.ALPN):
        yield "protocol chosen (ALPN)", _protocols(protocol)


def _encrypted_extensions(message: Message) -> Iterator[Field]:
    protocol = extensions(body_of(message)).get(Extension.ALPN)
    yield "protocol chosen (ALPN)", _protocols(protocol) if protocol else "none"


def _certificate_request(message: Message) -> Iterator[Field]:
    request = request_in(message)
    yield "CAs named", join(request.authorities) or "none: a certificate of any CA may be tried"
    yield "signatures accepted", listed(request.signature_algorithms, SIGNATURES)


def _certificate(message: Message) -> Iterator[Field]:
    found = certificates_in(message)
    if not found:
        yield "certificates", "none: we have none to send"
    for number, der in enumerate(found, 1):
        try:
            certificate = readable_certificate(der)
        except ValueError as error:
            yield f"certificate {number}", f"cannot be read: {error}"
            continue
        yield f"certificate {number}", certificate.subject.rfc4514_string() or "(no subject)"
        yield "  names", str(names_of(certificate))
        yield "  issued by", certificate.issuer.rfc4514_string()
        yield "  valid until", f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"


def _compressed_certificate(message: Message) -> Iterator[Field]:
    compressed = CompressedCertificate.read(body_of(message))
    yield "compressed", f"with {compressed.name}, from {compressed.length} bytes"
    try:
        yield from _certificate(message)
    except DecodeError as error:
        yield "certificates", f"unreadable: {error}"


def _certificate_verify(message: Message) -> Iterator[Field]:
    yield "signed with", named(body_of(message).number(2), SIGNATURES)
    yield "proves", "that the sender has the private key of its certificate"


def _server_key_exchange(message: Message) -> Iterator[Field]:
    reader = body_of(message)
    named_curve = 3  # RFC 8422, section 5.4
    if reader.number(1) == named_curve:
        yield "key exchange group", named(reader.number(2), GROUPS)
        reader.vector(1)
        yield "signed with", named(reader.number(2), SIGNATURES)


def _finished(message: Message) -> Iterator[Field]:
    yield "proves", f"in {len(body_of(message))} bytes, that nothing was changed in transit"


def _new_session_ticket(message: Message) -> Iterator[Field]:
    reader = body_of(message)
    yield "good for resuming", f"within {reader.number(4)} seconds"
    if message.version == TLS_1_3:
        yield "sent", "after the server has read our last message"


def _key_update(message: Message) -> Iterator[Field]:
    yield "asks for ours", "yes" if body_of(message).number(1) else "no"


def _nothing(_: Message) -> Iterator[Field]:
    return iter(())


def _alert(reader: Reader) -> Iterator[Field]:
    level, code = reader.number(1), reader.number(1)
    alert = alert_named(code)
    yield "says", f"{alert.name} ({'warning' if level == 1 else 'fatal'})"
    if alert.meaning:
        yield "meaning", alert.meaning


def _change_cipher_spec(message: Message) -> Iterator[Field]:
    if message.version == TLS_1_3:
        yield "meaning", "none: for old middleboxes (RFC 8446, appendix D.4)"
    else:
        yield "from here on", "the sender's messages are encrypted"


def _data(body: bytes) -> Iterator[Field]:
    if body.startswith((b"HTTP/", b"GET ")):
        yield "begins", _text(body.split(b"\r\n", 1)[0][:100])
    elif body.startswith(b"PRI * HTTP/2.0") or body[3:5] == b"\x04\x00":
        yield "begins", "HTTP/2 connection preface, SETTINGS"


def _protocols(reader: Reader) -> str:
    return ", ".join(_text(each.rest()) for each in reader.vector(2).vectors(1))


def _text(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")


_HANDSHAKE: Final[Mapping[int | None, tuple[str, Callable[[Message], Iterator[Field]]]]] = {
    Kind.HELLO_REQUEST: ("HelloRequest", _nothing),
    Kind.CLIENT_HELLO: ("ClientHello", _client_hello),
    Kind.SERVER_HELLO: ("ServerHello", _server_hello),
    Kind.NEW_SESSION_TICKET: ("NewSessionTicket", _new_session_ticket),
    Kind.END_OF_EARLY_DATA: ("EndOfEarlyData", _nothing),
    Kind.ENCRYPTED_EXTENSIONS: ("EncryptedExtensions", _encrypted_extensions),
    Kind.CERTIFICATE: ("Certificate", _certificate),
    Kind.SERVER_KEY_EXCHANGE: ("ServerKeyExchange", _server_key_exchange),
    Kind.CERTIFICATE_REQUEST: ("CertificateRequest", _certificate_request),
    Kind.SERVER_HELLO_DONE: ("ServerHelloDone", _nothing),
    Kind.CERTIFICATE_VERIFY: ("CertificateVerify", _certificate_verify),
    Kind.CLIENT_KEY_EXCHANGE: ("ClientKeyExchange", _nothing),
    Kind.FINISHED: ("Finished", _finished),
    Kind.CERTIFICATE_STATUS: ("CertificateStatus", _nothing),
    Kind.KEY_UPDATE: ("KeyUpdate", _key_update),
    Kind.COMPRESSED_CERTIFICATE: ("CompressedCertificate", _compressed_certificate),
}
