"""One identity is in force at a time, for everything that was made from it."""

from dataclasses import replace

from mtls.identity import Identity
from mtls.observer import Observer

import pytest

from tests.unit.mtls.peers import source_with


def ca_of(identity: Identity) -> bytes:
    return identity.ca_pem


def test_what_was_derived_changes_with_the_identity() -> None:
    source = source_with()
    derived = source.derive(ca_of)
    assert derived.value == source.current.ca_pem
    source.replace(replace(source.current, ca_pem=b"another"))
    assert derived.value == b"another"


def test_when_one_maker_fails_nothing_changes() -> None:
    """A key that OpenSSL does not take must not be half in use."""

    def picky(identity: Identity) -> bytes:
        if identity.ca_pem == b"another":
            raise ZeroDivisionError
        return identity.ca_pem

    source = source_with()
    before = source.current
    first, second = source.derive(ca_of), source.derive(picky)
    with pytest.raises(ZeroDivisionError):
        source.replace(replace(before, ca_pem=b"another"))
    assert source.current is before
    assert first.value == second.value == before.ca_pem


def test_subscribers_are_told_of_changes_until_they_end_it() -> None:
    source = source_with()
    told: list[bytes] = []
    unsubscribe = source.subscribe(lambda identity: told.append(identity.ca_pem))
    source.replace(replace(source.current, ca_pem=b"second"))
    unsubscribe()
    source.replace(replace(source.current, ca_pem=b"third"))
    assert told == [b"second"]


def test_an_error_of_one_subscriber_is_reported_and_the_next_is_told() -> None:
    failures: list[Exception] = []

    class Failures(Observer):
        def failed(self, what: str, error: Exception) -> None:
            failures.append(error)

    def fail(_: Identity) -> None:
        raise ZeroDivisionError

    source = source_with(observer=Failures())
    told: list[bytes] = []
    source.subscribe(fail)
    source.subscribe(lambda identity: told.append(identity.ca_pem))
    source.replace(replace(source.current, ca_pem=b"another"))
    assert told == [b"another"]
    assert [type(error) for error in failures] == [ZeroDivisionError]
