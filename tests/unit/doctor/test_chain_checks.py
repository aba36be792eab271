"""Each check finds the one fact that is wrong, and passes the twin that differs in nothing else.

The doctor's steps are also held against OpenSSL's verdict: they fail together, or not at all.
"""

import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mtls.certificates import Role

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from doctor.chain import Chain
from doctor.checks import Checked, Examination, Result
from doctor.examinations import CHAIN_CHECKS
from doctor.rehearsal import REHEARSAL, Credentials
from tests.unit.doctor.material import (
    CLIENT,
    HOUR,
    ISSUING,
    LEAF,
    NOW,
    ROOT,
    SERVER,
    Made,
    key_usage,
    leaf,
    make,
)

BOTH: Final = frozenset(Role)
RSA_1024: Final = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be found
RSA_2048: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def chain_of(made: Made, name: str = "localhost", roles: frozenset[Role] = BOTH) -> Chain:
    return Chain(
        made.chain, (made.root.certificate,), roles, dt.datetime.now(dt.UTC), "chain.crt", name
    )


def examine(chain: Chain) -> dict[str, Checked]:
    examination = Examination()
    examination.run("", CHAIN_CHECKS, chain)
    return {checked.id: checked for checked in examination.sections[""]}


def openssl_accepts(chain: Chain, made: Made) -> bool:
    examination = Examination()
    examination.run("", REHEARSAL, Credentials(chain, made.key))
    return examination.result_of("openssl") is Result.OK


def constrained(*trees: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=list(trees), excluded_subtrees=None)


def excluding(*trees: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=list(trees))


Build = Callable[[], Made]
DNS, URI, IP = x509.DNSName, x509.UniformResourceIdentifier, x509.IPAddress
LOOPBACK: Final = ipaddress.ip_network("127.0.0.0/8")
ELSEWHERE: Final = ipaddress.ip_network("10.0.0.0/8")

PRIVATE_EXTENSION: Final = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"
)

# The check, the good twin, the bad one, and what the cause has to say.
FAULTS: Final[dict[str, tuple[str, Build, Build, str]]] = {
    "expired leaf": (
        "dates",
        lambda: leaf(replace(LEAF, end=NOW + HOUR)),
        lambda: leaf(replace(LEAF, begin=NOW - 9 * HOUR, end=NOW - 3 * HOUR)),
        "expired 3 hours ago",
    ),
    "expired issuing CA": (
        "dates",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, end=NOW - HOUR)),
        '"CN=issuing" expired',
    ),
    "expired root": (
        "dates",
        leaf,
        lambda: leaf(root=replace(ROOT, end=NOW - HOUR)),
        '"CN=root" expired',
    ),
    "leaf from tomorrow": (
        "dates",
        leaf,
        lambda: leaf(replace(LEAF, begin=NOW + 2 * HOUR)),
        "a clock is probably wrong",
    ),
    "leaf from next week": (
        "dates",
        leaf,
        lambda: leaf(replace(LEAF, begin=NOW + 7 * 24 * HOUR, end=NOW + 9 * 24 * HOUR)),
        "not valid before",
    ),
    "no clientAuth": (
        "purpose",
        lambda: leaf(replace(LEAF, ekus=[SERVER, CLIENT])),
        lambda: leaf(replace(LEAF, ekus=[SERVER])),
        "lacks clientAuth. It has: serverAuth",
    ),
    "no serverAuth": (
        "purpose",
        lambda: leaf(replace(LEAF, ekus=[SERVER, CLIENT])),
        lambda: leaf(replace(LEAF, ekus=[CLIENT])),
        "lacks serverAuth",
    ),
    "any purpose alone": (
        "purpose",
        lambda: leaf(replace(LEAF, ekus=[SERVER, CLIENT])),
        lambda: leaf(replace(LEAF, ekus=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        "anyExtendedKeyUsage",
    ),
    "issuing CA for servers only": (
        "purpose",
        lambda: leaf(issuing=replace(ISSUING, ekus=[SERVER, CLIENT])),
        lambda: leaf(issuing=replace(ISSUING, ekus=[SERVER])),
        "may only issue for: serverAuth",
    ),
    "key that may not sign": (
        "key_usage",
        leaf,
        lambda: leaf(replace(LEAF, usage=key_usage("crl_sign"))),
        "lacks digitalSignature",
    ),
    "another host's name": (
        "name",
        lambda: leaf(replace(LEAF, dns=["localhost"])),
        lambda: leaf(replace(LEAF, dns=["elsewhere.test"])),
        'not for "localhost". Its names: elsewhere.test',
    ),
    "a wildcard for another level": (
        "name",
        lambda: leaf(replace(LEAF, dns=["*.test", "localhost"])),
        lambda: leaf(replace(LEAF, dns=["*.localhost"])),
        'not for "localhost"',
    ),
    "common name only": (
        "common_name",
        lambda: leaf(replace(LEAF, subject="localhost")),
        lambda: leaf(replace(LEAF, subject="localhost", dns=[])),
        "only the common name localhost",
    ),
    "short RSA key": (
        "strength",
        lambda: leaf(replace(LEAF, key=RSA_2048)),
        lambda: leaf(replace(LEAF, key=RSA_1024)),
        "RSA key of 1024 bits",
    ),
    "short RSA key of a CA": (
        "strength",
        lambda: leaf(issuing=replace(ISSUING, key=RSA_2048)),
        lambda: leaf(issuing=replace(ISSUING, key=RSA_1024)),
        '"CN=issuing" has an RSA key of 1024 bits',
    ),
    "issuing CA that is none": (
        "ca_basic_constraints",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, ca=False)),
        '"CN=issuing" says CA:FALSE',
    ),
    "issuing CA that does not say it is one": (
        "ca_basic_constraints",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, ca=None)),
        '"CN=issuing" has no basicConstraints',
    ),
    "CA without key usage": (
        "ca_key_usage",
        leaf,
        lambda: leaf(root=replace(ROOT, usage=None)),
        "Python 3.13 refuses it",
    ),
    "CA that may not sign": (
        "ca_key_usage",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, usage=key_usage("crl_sign"))),
        '"CN=issuing" may not sign certificates',
    ),
    "path too long": (
        "ca_path_length",
        lambda: leaf(root=replace(ROOT, path_length=1)),
        lambda: leaf(root=replace(ROOT, path_length=0)),
        '"CN=root" allows 0 CAs below it, and there are 1',
    ),
    "DNS name outside the CA": (
        "ca_name_constraints",
        lambda: leaf(issuing=replace(ISSUING, constraints=constrained(DNS("localhost")))),
        lambda: leaf(issuing=replace(ISSUING, constraints=constrained(DNS("elsewhere.test")))),
        "localhost is not among the permitted: elsewhere.test",
    ),
    "DNS name that is excluded": (
        "ca_name_constraints",
        lambda: leaf(issuing=replace(ISSUING, constraints=excluding(DNS("elsewhere.test")))),
        lambda: leaf(issuing=replace(ISSUING, constraints=excluding(DNS("localhost")))),
        "localhost is excluded",
    ),
    "URI outside the CA": (
        "ca_name_constraints",
        lambda: leaf(
            replace(LEAF, uris=["spiffe://here.test/me"]),
            issuing=replace(ISSUING, constraints=constrained(URI("here.test"))),
        ),
        lambda: leaf(
            replace(LEAF, uris=["spiffe://there.test/me"]),
            issuing=replace(ISSUING, constraints=constrained(URI("here.test"))),
        ),
        "spiffe://there.test/me is not among the permitted: here.test",
    ),
    "address outside the CA": (
        "ca_name_constraints",
        lambda: leaf(
            replace(LEAF, addresses=["127.0.0.1"]),
            issuing=replace(ISSUING, constraints=constrained(IP(LOOPBACK))),
        ),
        lambda: leaf(
            replace(LEAF, addresses=["127.0.0.1"]),
            issuing=replace(ISSUING, constraints=constrained(IP(ELSEWHERE))),
        ),
        "127.0.0.1 is not among the permitted: 10.0.0.0/8",
    ),
    "leaf whose AKI no longer fits": (
        "root",
        leaf,
        lambda: leaf(replace(LEAF, aki=x509.AuthorityKeyIdentifier(b"before" * 3, None, None))),
        'The key of "CN=issuing" signed "CN=leaf", whose authorityKeyIdentifier names another',
    ),
    "critical extension that nobody knows": (
        "critical",
        lambda: leaf(replace(LEAF, others=[PRIVATE_EXTENSION])),
        lambda: leaf(replace(LEAF, criticals=[PRIVATE_EXTENSION])),
        "a critical extension that OpenSSL does not know: 1.3.6.1.4.1.55555.1",
    ),
    "leaf that does not name its issuer's key": (
        "key_identifiers",
        leaf,
        lambda: leaf(replace(LEAF, has_aki=False)),
        '"CN=leaf" has no authorityKeyIdentifier',
    ),
    "issuing CA that does not name its issuer's key": (
        "key_identifiers",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, has_aki=False)),
        '"CN=issuing" has no authorityKeyIdentifier',
    ),
    "CA that does not name its key": (
        "key_identifiers",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, has_ski=False)),
        '"CN=issuing" has no subjectKeyIdentifier',
    ),
    "CA whose basicConstraints are not critical": (
        "strict",
        leaf,
        lambda: leaf(issuing=replace(ISSUING, is_basic_critical=False)),
        "not critical",
    ),
    "leaf with a CA's key usage": (
        "strict",
        leaf,
        lambda: leaf(replace(LEAF, usage=key_usage("digital_signature", "key_cert_sign"))),
        "has keyCertSign and is no CA",
    ),
    "empty subject": (
        "strict",
        leaf,
        lambda: leaf(replace(LEAF, subject="")),
        "empty subject",
    ),
}


@pytest.mark.parametrize(("check", "good", "bad", "cause"), FAULTS.values(), ids=FAULTS)
def test_finds_the_one_fact_that_is_wrong(check: str, good: Build, bad: Build, cause: str) -> None:
    assert examine(chain_of(good()))[check].finding.result in {Result.OK, Result.NOTE}
    found = examine(chain_of(bad()))[check].finding
    assert found.result is Result.FAILED
    assert cause in found.detail
    assert found.fix


@pytest.mark.parametrize(("check", "good", "bad", "cause"), FAULTS.values(), ids=FAULTS)
def test_agrees_with_openssl(check: str, good: Build, bad: Build, cause: str) -> None:
    """No step cries wolf, and none is missing for what OpenSSL would refuse."""
    right, wrong = good(), bad()
    assert openssl_accepts(chain_of(right), right)
    assert not [c for c in examine(chain_of(right)).values() if c.finding.result is Result.FAILED]
    assert not openssl_accepts(chain_of(wrong), wrong)


def test_a_leaf_that_signs_itself_is_no_ca_and_needs_none() -> None:
    alone = make(replace(LEAF, has_aki=False))
    chain = replace(chain_of(alone), certificates=(alone.certificate,))
    assert not [c.id for c in examine(chain).values() if c.finding.result is Result.FAILED]
    assert openssl_accepts(chain, alone)


NOTES: Final[dict[str, tuple[str, Build, str]]] = {
    "no extended key usage": (
        "purpose",
        lambda: leaf(replace(LEAF, ekus=[])),
        "accept that for any purpose",
    ),
    "almost over": (
        "dates",
        lambda: leaf(replace(LEAF, begin=NOW - 90 * HOUR, end=NOW + HOUR)),
        "Less than a tenth",
    ),
    "outlives its CA": (
        "dates",
        lambda: leaf(issuing=replace(ISSUING, end=NOW + 5 * HOUR)),
        '"CN=issuing" ends before it',
    ),
    "just begun": (
        "dates",
        lambda: leaf(replace(LEAF, begin=dt.datetime.now(dt.UTC).replace(microsecond=0))),
        "a slower clock refuses it",
    ),
    "no SPIFFE ID": ("spiffe", leaf, "only programs that use SPIFFE need"),
    "Ed25519": (
        "strength",
        lambda: leaf(replace(LEAF, key=ed25519.Ed25519PrivateKey.generate())),
        "gRPC (BoringSSL) and browsers do not take such a leaf",
    ),
    "leaf that is a CA": (
        "ca_basic_constraints",
        lambda: leaf(
            replace(LEAF, ca=True, usage=key_usage("digital_signature")),
            issuing=replace(ISSUING, path_length=None),
        ),
        "The leaf itself says CA:TRUE",
    ),
    "limits on addresses, which gRPC cannot do": (
        "ca_name_constraints",
        lambda: leaf(
            replace(LEAF, addresses=["127.0.0.1"]),
            issuing=replace(ISSUING, constraints=constrained(IP(LOOPBACK))),
        ),
        "unsupported name constraint type",
    ),
}


@pytest.mark.parametrize(("check", "build", "cause"), NOTES.values(), ids=NOTES)
def test_notes_what_works_and_is_worth_knowing(check: str, build: Build, cause: str) -> None:
    made = build()
    found = examine(chain_of(made))[check].finding
    assert found.result is Result.NOTE
    assert cause in found.detail
    assert openssl_accepts(chain_of(made), made)


def test_an_expired_cross_signed_root_that_is_sent_too_is_no_failure() -> None:
    """The path ends at a root that is trusted; what is sent beside it does not count."""
    made = leaf()
    older = make(replace(ROOT, subject="older"))
    crossed = make(replace(ROOT, key=made.root.key, end=NOW - HOUR), older).certificate
    chain = replace(chain_of(made), certificates=(*made.chain, crossed))
    found = examine(chain)
    assert not [c.id for c in found.values() if c.finding.result is Result.FAILED]
    assert found["dates"].finding.result is Result.NOTE
    assert 'not valid today: "CN=root"' in found["dates"].finding.detail
    assert openssl_accepts(chain, made)
    # Without the root that the cross-signed one stands for, its date counts.
    needs_it = replace(chain, roots=(older.certificate,))
    assert examine(needs_it)["dates"].finding.result is Result.FAILED
    assert not openssl_accepts(needs_it, made)


def test_a_spiffe_id_is_shown() -> None:
    made = leaf(replace(LEAF, uris=["spiffe://here.test/me"]))
    found = examine(chain_of(made))["spiffe"].finding
    assert (found.result, found.detail) == (Result.OK, "spiffe://here.test/me")


@pytest.mark.parametrize("fault", ["CA without key usage", "CA that does not name its key"])
def test_the_letter_of_rfc_5280_is_a_note_for_who_does_not_insist(fault: str) -> None:
    check, _, bad, _ = FAULTS[fault]
    made = bad()
    lenient = replace(chain_of(made), is_strict=False)
    assert examine(lenient)[check].finding.result is Result.NOTE
    assert openssl_accepts(lenient, made)


def test_a_curve_that_tls_1_3_does_not_know() -> None:
    made = leaf(replace(LEAF, key=ec.generate_private_key(ec.SECP256K1())))
    found = examine(chain_of(made))["strength"].finding
    assert found.result is Result.FAILED
    assert "secp256k1" in found.detail


@pytest.mark.parametrize(
    ("dns", "addresses", "result", "cause"),
    [
        ([], ["127.0.0.1"], Result.OK, "127.0.0.1"),
        (["127.0.0.1"], [], Result.FAILED, "as a DNS name, which does not count"),
        (["localhost"], [], Result.FAILED, "has to be there as an IP name"),
        (["localhost"], ["10.0.0.1"], Result.FAILED, "IP 10.0.0.1"),
    ],
)
def test_an_address_that_is_dialled_has_to_be_an_ip_name(
    dns: list[str], addresses: list[str], result: Result, cause: str
) -> None:
    made = leaf(replace(LEAF, dns=dns, addresses=addresses))
    chain = chain_of(made, name="127.0.0.1")
    found = examine(chain)["name"].finding
    assert found.result is result
    assert cause in found.detail
    assert openssl_accepts(chain, made) is (result is Result.OK)
