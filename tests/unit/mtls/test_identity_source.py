"""One identity is in force at a time, for everything that was made from it."""

from dataclasses import replace

from mtls.identity import Identity

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


def test_who_has_subscribed_is_told_until_it_has_enough() -> None:
    source = source_with()
    told: list[Identity] = []
    unsubscribe = source.subscribe(told.append)
    source.tell()
    source.replace(replace(source.current, ca_pem=b"another"))
    source.tell()
    unsubscribe()
    source.tell()
    assert [identity.ca_pem == b"another" for identity in told] == [False, True]
