"""TLS messages: read as the specification says, and never trusted."""

import random
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from doctor.attempt import Attempt
from doctor.codes import TLS_1_3
from doctor.decode import decode
from doctor.distinguished import DistinguishedName
from doctor.errors import DecodeError
from doctor.messages import (
    certificate_request,
    protocol_chosen,
    request_in,
    server_certificates,
)
from doctor.target import Target
from doctor.timeline import as_dict
from doctor.watch import ContentType, Direction, Message
from doctor.wire import Reader
from tests.unit.doctor.material import leaf

DER: Final = Encoding.DER

TLS_1_2: Final = 0x0303


def handshake(kind: int, body: bytes, version: int = TLS_1_3) -> Message:
    content = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return Message(Direction.RECEIVED, ContentType.HANDSHAKE, version, content, 0.0)


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


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
        entries = b"".join(vector(3, der) + vector(2, b"") for der in ders)
        message = handshake(11, vector(1, b"") + vector(3, entries), version)
    else:
        message = handshake(11, vector(3, b"".join(vector(3, der) for der in ders)), version)
    assert server_certificates([message]) == tuple(ders)


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
