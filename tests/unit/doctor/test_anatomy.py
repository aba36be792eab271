"""Every byte of every message has one name."""

import zlib
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.anatomy import Part, anatomy
from doctor.codes import TLS_1_2, TLS_1_3
from doctor.messages import Kind
from doctor.watch import ContentType, Direction, Message
from tests.unit.doctor.handshakes import KINDS, console, in_memory

_CERTIFICATES: Final = (Kind.CERTIFICATE, Kind.COMPRESSED_CERTIFICATE)
_COMPRESSED_FROM: Final = 4 + 2 + 3 + 3  # header, algorithm, and two lengths


def leaves(message: Message) -> list[Part]:
    return [part for part in anatomy(message) if not part.is_group]


def assert_every_byte_once(message: Message) -> None:
    found = leaves(message)
    assert [part.begin for part in found[:1]] == [0] * bool(message.body)
    assert all(one.end == other.begin for one, other in pairwise(found))
    assert sum(part.end - part.begin for part in found) == len(message.body)


@pytest.mark.parametrize("kind", KINDS)
def test_real_messages_are_known_to_the_last_byte(kind: str) -> None:
    for message in in_memory(kind).attempt.messages:
        assert_every_byte_once(message)
        assert not {"unreadable", "more"} & {part.label for part in anatomy(message)}


@given(st.sampled_from(ContentType), st.sampled_from([TLS_1_2, TLS_1_3]), st.binary(max_size=200))
def test_any_bytes_are_cut_without_gap_or_overlap(
    kind: ContentType, version: int, body: bytes
) -> None:
    assert_every_byte_once(Message(Direction.RECEIVED, kind, version, body, 0.0))


@given(st.sampled_from(Kind), st.sampled_from([TLS_1_2, TLS_1_3]), st.binary(max_size=200))
def test_any_handshake_message_too(kind: Kind, version: int, content: bytes) -> None:
    body = bytes([kind]) + len(content).to_bytes(3, "big") + content
    assert_every_byte_once(Message(Direction.SENT, ContentType.HANDSHAKE, version, body, 0.0))


def certificate_of_ours() -> Message:
    """Return what we presented; OpenSSL 3.5 has compressed it (RFC 8879)."""
    messages = in_memory("1.3").attempt.messages
    [ours] = [m for m in messages if m.direction is Direction.SENT and m.body[0] in _CERTIFICATES]
    if ours.body[0] == Kind.CERTIFICATE:
        return ours
    content = zlib.decompress(ours.body[_COMPRESSED_FROM:])
    body = bytes([Kind.CERTIFICATE]) + len(content).to_bytes(3, "big") + content
    return Message(ours.direction, ours.content_type, ours.version, body, ours.seconds)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_certificate_with_one_byte_changed(place: int, byte: int) -> None:
    body = bytearray(certificate_of_ours().body)
    body[place % len(body)] = byte
    assert_every_byte_once(
        Message(Direction.SENT, ContentType.HANDSHAKE, TLS_1_3, bytes(body), 0.0)
    )


def test_the_bytes_of_a_name_are_those_of_the_name() -> None:
    ours = certificate_of_ours()
    identity = str(console().spiffe_id)
    [name] = [part for part in leaves(ours) if part.text == identity]
    assert ours.body[name.begin : name.end] == identity.encode()
    texts = {part.text for part in leaves(ours)}
    assert {"clientAuth: for clients", "digitalSignature", "P-256"} <= texts


def test_what_is_cut_off_says_so() -> None:
    hello = in_memory("1.3").attempt.messages[0]
    cut = Message(hello.direction, hello.content_type, hello.version, hello.body[:100], 0.0)
    assert_every_byte_once(cut)
    assert leaves(cut)[-1].label == "unreadable"
    assert "are announced" in leaves(cut)[-1].text
