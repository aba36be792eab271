"""Names by the book: RFC 9525 for what is dialled, RFC 5280 for what a CA permits."""

import ipaddress
from dataclasses import replace

import pytest
from cryptography import x509

from doctor.names import Names, covers, violations
from tests.unit.doctor.material import LEAF, make


@pytest.mark.parametrize(
    ("pattern", "dialled", "expected"),
    [
        ("localhost", "localhost", True),
        ("LocalHost", "localhost", True),
        ("localhost", "localhost.test", False),
        ("*.here.test", "a.here.test", True),
        ("*.here.test", "a.b.here.test", False),
        ("*.here.test", "here.test", False),
        ("a*.here.test", "ab.here.test", False),
        ("*", "localhost", False),
    ],
)
def test_a_wildcard_is_one_whole_label(pattern: str, dialled: str, *, expected: bool) -> None:
    assert covers(Names((pattern,), (), (), ()), dialled) is expected


def test_the_common_name_does_not_count() -> None:
    assert not covers(Names((), (), (), ("localhost",)), "localhost")


def test_an_address_in_another_spelling_is_the_same_address() -> None:
    names = Names((), (ipaddress.ip_address("::1"),), (), ())
    assert covers(names, "0:0:0:0:0:0:0:1")


@pytest.mark.parametrize(
    ("tree", "is_permitted"),
    [
        (x509.DNSName("here.test"), True),
        (x509.DNSName("a.here.test"), True),
        (x509.DNSName(""), True),
        (x509.DNSName(".a.here.test"), False),
        (x509.DNSName("ere.test"), False),
        (x509.UniformResourceIdentifier("here.test"), True),
        (x509.UniformResourceIdentifier(".here.test"), False),
        (x509.UniformResourceIdentifier("there.test"), False),
        (x509.RFC822Name("here.test"), True),  # there is no e-mail name that it could forbid
        (x509.DirectoryName(x509.Name([])), True),
        (
            x509.DirectoryName(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another")])
            ),
            False,
        ),
    ],
)
def test_what_a_ca_permits(tree: x509.GeneralName, *, is_permitted: bool) -> None:
    certificate = make(
        replace(LEAF, dns=["a.here.test"], uris=["spiffe://here.test/me"])
    ).certificate
    constraints = x509.NameConstraints(permitted_subtrees=[tree], excluded_subtrees=None)
    found = list(violations(certificate, constraints))
    assert bool(found) != is_permitted
