"""Records: split as they went over the network, and opened with the secrets of the handshake."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.connection import Flight
from doctor.records import records_of
from doctor.watch import ContentType, Direction
from tests.unit.doctor.handshakes import KINDS, in_memory

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_every_record_is_opened_and_holds_what_openssl_says(kind: str) -> None:
    """OpenSSL's own account of the messages is the other witness."""
    seen = in_memory(kind).attempt
    records = records_of(seen.flights, seen.secrets)
    assert all(record.plain is not None for record in records)
    assert any(record.is_encrypted for record in records)
    for direction in Direction:
        for content in (ContentType.HANDSHAKE, ContentType.DATA):
            wanted = (direction, content)
            said = [m.body for m in seen.messages if (m.direction, m.content_type) == wanted]
            found = [
                record.plain or b""
                for record in records
                if (record.direction, record.content_type) == wanted
            ]
            assert b"".join(found) == b"".join(said)


@every_kind
def test_no_byte_is_lost(kind: str) -> None:
    seen = in_memory(kind).attempt
    records = records_of(seen.flights, seen.secrets)
    for direction in Direction:
        sent = b"".join(flight.data for flight in seen.flights if flight.direction is direction)
        assert b"".join(each.data for each in records if each.direction is direction) == sent


@every_kind
def test_bytes_that_arrive_one_by_one_make_the_same_records(kind: str) -> None:
    seen = in_memory(kind).attempt
    single = [
        Flight(flight.direction, bytes([byte]), flight.seconds)
        for flight in seen.flights
        for byte in flight.data
    ]
    assert records_of(single, seen.secrets) == records_of(seen.flights, seen.secrets)


@pytest.mark.parametrize("version", ["1.3", "1.2"])
def test_only_the_secrets_of_this_handshake_open_it(version: str) -> None:
    """The twin of the first test: with the secrets of another handshake nothing is opened."""
    seen, other = in_memory(version).attempt, in_memory(f"{version} resumed").attempt
    for secrets in (other.secrets, {}):
        sealed = [each for each in records_of(seen.flights, secrets) if each.is_encrypted]
        assert sealed
        assert {(each.plain, each.content_type, each.key) for each in sealed} == {(None, None, "")}


def test_a_record_that_was_changed_is_not_opened() -> None:
    seen = in_memory("1.3").attempt
    place = next(n for n, each in enumerate(seen.flights) if each.direction is Direction.RECEIVED)
    flight = seen.flights[place]
    changed = replace(flight, data=flight.data[:-1] + bytes([flight.data[-1] ^ 1]))
    flights = [*seen.flights[:place], changed, *seen.flights[place + 1 :]]
    before, after = (records_of(each, seen.secrets) for each in (seen.flights, flights))
    assert [each.plain is None for each in before].count(True) == 0
    first = next(n for n, each in enumerate(after) if each.plain is None)
    assert after[first].data[:-1] == before[first].data[:-1]


def test_records_are_numbered_in_order() -> None:
    seen = in_memory("1.3").attempt
    records = records_of(seen.flights, seen.secrets)
    assert [record.number for record in records] == list(range(len(records)))
    assert all(one.seconds <= other.seconds for one, other in pairwise(records))


@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=300)), max_size=6))
def test_any_bytes_are_read_without_an_error(parts: list[tuple[Direction, bytes]]) -> None:
    secrets = in_memory("1.3").attempt.secrets
    records = records_of([Flight(side, data, 0.0) for side, data in parts], secrets)
    assert sum(len(record.data) for record in records) <= sum(len(data) for _, data in parts)


def test_what_is_no_tls_is_no_record() -> None:
    answer = Flight(Direction.RECEIVED, b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.0)
    assert records_of([answer], {}) == []
