"""TLS messages: read as the specification says, and never trusted."""

import random
import ssl
import zlib
from collections.abc import Iterable
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from doctor.codes import TLS_1_3
from doctor.connection import Attempt, Target
from doctor.decode import decode
from doctor.messages import (
    DecodeError,
    DistinguishedName,
    Reader,
    body_of,
    certificate_request,
    extensions,
    has_presented,
    protocol_chosen,
    request_in,
    server_certificates,
)
from doctor.rehearsal import verifying_client
from doctor.timeline import as_dict
from doctor.watch import ContentType, Direction, Message, watch
from tests.unit.doctor.material import leaf

DER: Final = Encoding.DER

TLS_1_2: Final = 0x0303


def handshake(
    kind: int, body: bytes, version: int = TLS_1_3, direction: Direction = Direction.RECEIVED
) -> Message:
    content = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return Message(direction, ContentType.HANDSHAKE, version, content, 0.0)


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def entries_of(ders: Iterable[bytes]) -> bytes:
    """Certificates as TLS 1.3 lists them, each with no extensions."""
    return b"".join(vector(3, der) + vector(2, b"") for der in ders)


NAME: Final = x509.Name(
    [
        x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "CH"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Bücher & Söhne"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuing"),
    ]
)
ALGORITHMS: Final = bytes.fromhex("04030804")


def request(version: int, names: bytes) -> Message:
    if version == TLS_1_2:
        body = vector(1, b"\x40") + vector(2, ALGORITHMS) + vector(2, names)
        return handshake(13, body, version)
    listed = (
        b"\x00\x0d" + vector(2, vector(2, ALGORITHMS)) + b"\x00\x2f" + vector(2, vector(2, names))
    )
    return handshake(13, vector(1, b"") + vector(2, listed), version)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_reads_which_cas_a_server_names(version: int) -> None:
    found = request_in(request(version, vector(2, NAME.public_bytes())))
    assert [each.der for each in found.authorities] == [NAME.public_bytes()]
    assert str(found.authorities[0]) == "CN=issuing,O=Bücher & Söhne,C=CH"
    assert found.signature_algorithms == (0x0403, 0x0804)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_reads_what_a_server_presents(version: int) -> None:
    ders = [each.public_bytes(DER) for each in leaf().chain]
    if version == TLS_1_3:
        message = handshake(11, vector(1, b"") + vector(3, entries_of(ders)), version)
    else:
        message = handshake(11, vector(3, b"".join(vector(3, der) for der in ders)), version)
    assert server_certificates([message]) == tuple(ders)


def compressed(
    chain: tuple[bytes, ...], algorithm: int = 1, announced: int | None = None
) -> Message:
    """A CompressedCertificate (RFC 8879, section 4) of ours, if `algorithm` is 1 a true one."""
    plain = vector(1, b"") + vector(3, entries_of(chain))
    length = len(plain) if announced is None else announced
    body = algorithm.to_bytes(2) + length.to_bytes(3) + vector(3, zlib.compress(plain))
    return handshake(25, body, direction=Direction.SENT)


def test_a_compressed_certificate_is_read_and_shown() -> None:
    ders = tuple(each.public_bytes(DER) for each in leaf().chain)
    message = compressed(ders)
    assert has_presented([message])
    shown = decode(message)
    assert shown.name == "CompressedCertificate"
    assert shown.fields[0][1].startswith("with zlib, from ")
    plain = decode(handshake(11, vector(1, b"") + vector(3, entries_of(ders))))
    assert shown.fields[1:] == plain.fields
    assert dict(plain.fields)["certificate 1"] == "CN=leaf"


def test_a_compressed_list_of_no_certificates_presents_none() -> None:
    assert not has_presented([compressed(())])


@pytest.mark.parametrize(("algorithm", "name"), [(2, "brotli"), (3, "zstd"), (9, "0x0009")])
def test_what_cannot_be_decompressed_says_so(algorithm: int, name: str) -> None:
    message = compressed((leaf().chain[0].public_bytes(DER),), algorithm)
    assert has_presented([message])
    assert decode(message).fields[1][1] == (
        f"unreadable: It is compressed with {name}, and only zlib can be read here."
    )


def test_no_more_is_decompressed_than_a_chain_has() -> None:
    """A few kilobytes can be made to fill any memory."""
    bomb = bytes(16 * 1024 * 1024 - 1)
    body = (1).to_bytes(2) + len(bomb).to_bytes(3) + vector(3, zlib.compress(bomb))
    assert "262144 came out" in decode(handshake(25, body)).fields[1][1]
    assert "came out" in decode(compressed((), announced=5)).fields[1][1]


def test_we_ask_for_no_compression() -> None:
    """Or a server might choose an algorithm that Python cannot read."""
    compress_certificate = 27
    assert compress_certificate not in extensions_of_hello(verifying_client((), is_strict=True))


def extensions_of_hello(context: ssl.SSLContext) -> set[int]:
    messages: list[Message] = []
    watch(context, lambda: 0.0, messages.append)
    client = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    [hello] = messages
    reader = body_of(hello)
    reader.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.vector(size)
    return set(extensions(reader))


def test_nothing_asked_and_nothing_presented_are_none() -> None:
    assert certificate_request([]) is None
    assert server_certificates([]) is None


def test_a_name_in_old_encodings() -> None:
    """BMPString and TeletexString (X.690), as old CAs have them."""
    common, organization = bytes.fromhex("550403"), bytes.fromhex("55040a")

    def part(oid: bytes, tag: int, text: bytes) -> bytes:
        attribute = b"\x06" + vector(1, oid) + bytes([tag]) + vector(1, text)
        return b"\x31" + vector(1, b"\x30" + vector(1, attribute))

    der = b"\x30" + vector(
        1,
        part(organization, 0x14, "Söhne".encode("latin-1"))
        + part(common, 0x1E, "Bücher".encode("utf-16-be")),
    )
    assert str(DistinguishedName(der)) == "CN=Bücher,O=Söhne"


def test_a_name_that_cannot_be_read_says_so() -> None:
    assert str(DistinguishedName(b"\x30\x05\x31")) == "a name that cannot be read (3 bytes)"


def test_an_alert_is_named() -> None:
    message = Message(Direction.RECEIVED, ContentType.ALERT, TLS_1_3, bytes([2, 45]), 0.0)
    decoded = decode(message)
    assert decoded.name == "Alert"
    assert ("says", "certificate_expired (fatal)") in decoded.fields


def test_reads_no_further_than_there_is() -> None:
    reader = Reader(b"\x00\x05ab")
    with pytest.raises(DecodeError, match="5 bytes are announced, and 2 are there"):
        reader.vector(2)


ANY_MESSAGE: Final = st.builds(
    Message,
    st.sampled_from(Direction),
    st.sampled_from(ContentType),
    st.sampled_from([TLS_1_2, TLS_1_3]),
    st.binary(max_size=200),
    st.just(0.0),
)


@given(ANY_MESSAGE)
def test_no_message_however_broken_raises(message: Message) -> None:
    assert decode(message).name
    protocol_chosen([message])
    certificate_request([message])
    server_certificates([message])


@given(st.sampled_from(range(26)), st.integers(0, 2**32))
def test_a_true_message_that_is_cut_or_changed_raises_nothing(kind: int, seed: int) -> None:
    """Nearer to the truth than random bytes: what is announced and what is there disagree."""
    chance = random.Random(seed)  # noqa: S311 - to vary a test
    body = bytearray(request(TLS_1_3, vector(2, NAME.public_bytes())).body[4:])
    body[chance.randrange(len(body))] = chance.randrange(256)
    message = handshake(kind, bytes(body[: chance.randrange(len(body))]))
    decode(message)
    attempt = Attempt(Target("localhost", 1, "localhost"), messages=[message])
    assert len(as_dict(attempt)["steps"]) == 7
