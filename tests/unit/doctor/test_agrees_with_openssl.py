"""Over generated chains: some check fails exactly when OpenSSL refuses, and it names the cause.

A chain is drawn with up to three oddities out of a table. Each row of the table says which checks
may fail because of it (none: OpenSSL takes no offence), so a failure elsewhere is a false alarm.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mtls.certificates import Role

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    Spec,
    key_usage,
    make,
)

# Keys are made once: they are what takes time.
KEYS: Final = {
    name: ec.generate_private_key(ec.SECP256R1()) for name in ("leaf", "issuing", "root", "other")
}
RSA_1024: Final = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be found
RSA_2048: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P_521, K_256, ED25519 = (
    ec.generate_private_key(ec.SECP521R1()),
    ec.generate_private_key(ec.SECP256K1()),
    ed25519.Ed25519PrivateKey.generate(),
)
HARMLESS: Final = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.2"), b"\x05\x00")
UNKNOWN: Final = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
DNS, URI, IP = x509.DNSName, x509.UniformResourceIdentifier, x509.IPAddress


@dataclass(frozen=True)
class Draft:
    """What is to be signed, and what is sent and trusted of it."""

    leaf: Spec
    issuing: Spec
    root: Spec
    arrange: Callable[["Built"], "Built"] = lambda built: built


GOOD: Final = Draft(
    replace(LEAF, key=KEYS["leaf"]),
    replace(ISSUING, key=KEYS["issuing"]),
    replace(ROOT, key=KEYS["root"]),
)

# Other roots: of an older time, of another CA, and of the same name and key as ours.
OLDER: Final = replace(ROOT, subject="older", key=KEYS["other"])
STRANGER: Final = replace(ROOT, subject="stranger", key=KEYS["other"])
CROSSED: Final = replace(ROOT, key=KEYS["root"])


@dataclass(frozen=True)
class Built:
    """Certificates as they are sent, and those that are trusted."""

    leaf: Made
    issuing: Made
    root: Made
    sent: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]


Change = Callable[[Draft], Draft]


def changed(which: str, change: Callable[[Spec], Spec]) -> Change:
    """Change the specification of the leaf, the issuing CA or the root."""
    return lambda draft: replace(draft, **{which: change(getattr(draft, which))})  # type: ignore[arg-type]


def at(which: str, **facts: object) -> Change:
    """Change some facts of a specification."""
    return changed(which, lambda spec: replace(spec, **facts))  # type: ignore[arg-type]


def then(arrange: Callable[[Built], Built]) -> Change:
    """Change what is sent or trusted."""

    def change(draft: Draft) -> Draft:
        return replace(draft, arrange=lambda built: arrange(draft.arrange(built)))

    return change


def over(spec: Spec) -> Spec:
    """Return the specification of a certificate that has expired."""
    return replace(spec, begin=NOW - 90 * HOUR, end=NOW - HOUR)


def crossed(root: Spec = CROSSED) -> x509.Certificate:
    """Return the root's key and name in a certificate by an older root."""
    return make(root, make(OLDER)).certificate


def also_sends(certificate: Callable[[Built], x509.Certificate]) -> Change:
    return then(lambda built: replace(built, sent=(*built.sent, certificate(built))))


def also_trusts(certificate: Callable[[Built], x509.Certificate]) -> Change:
    return then(lambda built: replace(built, roots=(certificate(built), *built.roots)))


def trusts_only(certificate: Callable[[Built], x509.Certificate]) -> Change:
    return then(lambda built: replace(built, roots=(certificate(built),)))


def permitting(*trees: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(list(trees), None)


def named(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]))


ELSEWHERE: Final = x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)
ANY: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE

# What is odd, and the checks that may fail because of it.
ODDITIES: Final[Mapping[str, tuple[Change, set[str]]]] = {
    "leaf expired": (changed("leaf", over), {"dates"}),
    "leaf from later today": (at("leaf", begin=NOW + 2 * HOUR), {"dates"}),
    "issuing CA expired": (changed("issuing", over), {"dates"}),
    "root expired": (changed("root", over), {"dates"}),
    "leaf for servers": (at("leaf", ekus=[SERVER]), {"purpose"}),
    "leaf for clients": (at("leaf", ekus=[CLIENT]), {"purpose"}),
    "leaf for any purpose": (at("leaf", ekus=[ANY]), {"purpose"}),
    "leaf for no purpose": (at("leaf", ekus=[]), set()),
    "issuing CA for servers": (at("issuing", ekus=[SERVER]), {"purpose"}),
    "issuing CA for both": (at("issuing", ekus=[SERVER, CLIENT]), set()),
    "issuing CA for any purpose": (at("issuing", ekus=[ANY]), {"purpose"}),
    "root for clients": (at("root", ekus=[CLIENT]), {"purpose"}),
    "leaf may only encipher keys": (at("leaf", usage=key_usage("key_encipherment")), {"key_usage"}),
    "leaf may only agree on keys": (at("leaf", usage=key_usage("key_agreement")), {"key_usage"}),
    "leaf may only sign lists": (at("leaf", usage=key_usage("crl_sign")), {"key_usage"}),
    "leaf without key usage": (at("leaf", usage=None), set()),
    "another host": (at("leaf", dns=["elsewhere.test"]), {"name"}),
    "one more host": (at("leaf", dns=["elsewhere.test", "localhost"]), set()),
    "wildcard of a top-level domain": (at("leaf", dns=["*.test"]), {"name"}),
    "no DNS name": (at("leaf", dns=[], uris=["spiffe://here.test/me"]), {"name"}),
    "no SAN": (at("leaf", dns=[], subject="localhost"), {"name", "common_name"}),
    "address only": (at("leaf", dns=[], addresses=["127.0.0.1"]), {"name"}),
    "leaf with an RSA key": (at("leaf", key=RSA_2048), set()),
    "leaf with a short key": (at("leaf", key=RSA_1024), {"strength"}),
    "leaf on P-521": (at("leaf", key=P_521), set()),
    "leaf on secp256k1": (at("leaf", key=K_256), {"strength"}),
    "leaf on Ed25519": (at("leaf", key=ED25519), set()),
    "issuing CA with a short key": (at("issuing", key=RSA_1024), {"strength"}),
    "issuing CA on secp256k1": (at("issuing", key=K_256), set()),
    "issuing CA on Ed25519": (at("issuing", key=ED25519), set()),
    "root with a short key": (at("root", key=RSA_1024), {"strength"}),
    "leaf is a CA": (at("leaf", ca=True), {"ca_path_length", "strict"}),
    "leaf is a CA with a path length": (
        at("leaf", ca=True, path_length=0),
        {"ca_path_length", "strict"},
    ),
    "leaf is a CA that signs": (
        at("leaf", ca=True, usage=key_usage("digital_signature", "key_cert_sign")),
        {"ca_path_length", "strict"},
    ),
    "leaf says nothing of being a CA": (at("leaf", ca=None), {"strict"}),
    "leaf may sign certificates": (
        at("leaf", usage=key_usage("digital_signature", "key_cert_sign")),
        {"strict"},
    ),
    "leaf is a CA without saying so, and may sign": (
        at("leaf", ca=None, usage=key_usage("digital_signature", "key_cert_sign")),
        {"strict"},
    ),
    "issuing CA is none": (at("issuing", ca=False), {"ca_basic_constraints", "strict"}),
    "issuing CA does not say it is one": (
        at("issuing", ca=None),
        {"ca_basic_constraints", "strict"},
    ),
    "issuing CA says nothing at all": (
        at("issuing", ca=None, usage=None),
        {"ca_basic_constraints", "ca_key_usage", "strict"},
    ),
    "issuing CA may not sign": (
        at("issuing", usage=key_usage("crl_sign")),
        {"ca_key_usage", "strict"},
    ),
    "issuing CA without key usage": (at("issuing", usage=None), {"ca_key_usage"}),
    "root does not say it is a CA": (at("root", ca=None), {"ca_basic_constraints", "strict"}),
    "root without key usage": (at("root", usage=None), {"ca_key_usage"}),
    "root allows no CA below it": (at("root", path_length=0), {"ca_path_length"}),
    "root allows one CA below it": (at("root", path_length=1), set()),
    "constraints not critical": (at("issuing", is_basic_critical=False), {"strict"}),
    "CA permits the host": (
        at("issuing", constraints=permitting(DNS("localhost"))),
        {"ca_name_constraints"},
    ),
    "CA permits another host": (
        at("issuing", constraints=permitting(DNS("elsewhere.test"))),
        {"ca_name_constraints"},
    ),
    "root permits another host": (
        at("root", constraints=permitting(DNS("elsewhere.test"))),
        {"ca_name_constraints"},
    ),
    "root permits another subject": (
        at("root", constraints=permitting(named("leaf"))),
        {"ca_name_constraints"},
    ),
    "CA permits the subject": (
        at("issuing", constraints=permitting(named("leaf"))),
        {"ca_name_constraints"},
    ),
    "CA permits URIs of another domain": (
        at("issuing", constraints=permitting(URI("there.test"))),
        {"ca_name_constraints"},
    ),
    "leaf without AKI": (at("leaf", has_aki=False), {"key_identifiers"}),
    "issuing CA without AKI": (at("issuing", has_aki=False), {"key_identifiers"}),
    "root without AKI": (at("root", has_aki=False), set()),
    "issuing CA without SKI": (at("issuing", has_ski=False), {"key_identifiers"}),
    "root without SKI": (at("root", has_ski=False), {"key_identifiers"}),
    "leaf's AKI no longer fits": (at("leaf", aki=ELSEWHERE), {"root"}),
    "issuing CA's AKI no longer fits": (at("issuing", aki=ELSEWHERE), {"root"}),
    "root's AKI does not fit itself": (at("root", aki=ELSEWHERE), {"root"}),
    "AKI by name and number": (
        at("leaf", aki=x509.AuthorityKeyIdentifier(None, [named("root")], 1)),
        {"root", "key_identifiers"},
    ),
    "leaf with an unknown extension": (at("leaf", others=[HARMLESS]), set()),
    "leaf with an unknown critical extension": (at("leaf", criticals=[UNKNOWN]), {"critical"}),
    "issuing CA with an unknown critical extension": (
        at("issuing", criticals=[UNKNOWN]),
        {"critical"},
    ),
    "root with an unknown critical extension": (at("root", criticals=[UNKNOWN]), {"critical"}),
    "leaf with a critical policy": (
        at(
            "leaf",
            criticals=[
                x509.CertificatePolicies(
                    [x509.PolicyInformation(ObjectIdentifier("1.2.3.4"), None)]
                )
            ],
        ),
        set(),
    ),
    "leaf with a critical must-staple": (
        at("leaf", criticals=[x509.TLSFeature([x509.TLSFeatureType.status_request])]),
        {"critical"},
    ),
    "empty subject": (at("leaf", subject=""), {"strict"}),
    "issuing CA with an empty subject": (at("issuing", subject=""), {"strict"}),
    "the issuing CA is not sent": (then(lambda b: replace(b, sent=b.sent[:1])), {"root"}),
    "the root is sent too": (also_sends(lambda b: b.root.certificate), set()),
    "the chain is sent twice": (then(lambda b: replace(b, sent=b.sent * 2)), set()),
    "an expired cross-signed root is sent too": (
        also_sends(lambda _: crossed(over(CROSSED))),
        {"dates"},  # of a path that needs it
    ),
    "a cross-signed root is sent too": (also_sends(lambda _: crossed()), set()),
    "a stranger is sent too": (
        also_sends(lambda _: make(STRANGER).certificate),
        set(),
    ),
    "the root of before is trusted too, first": (
        also_trusts(lambda _: make(replace(ROOT, key=KEYS["other"])).certificate),
        {"root"},
    ),
    "the root of before is trusted alone": (
        trusts_only(lambda _: make(replace(ROOT, key=KEYS["other"])).certificate),
        {"root"},
    ),
    "an expired stranger is trusted too": (
        also_trusts(lambda _: make(over(STRANGER)).certificate),
        set(),
    ),
    "an expired certificate of the root is trusted too, first": (
        also_trusts(lambda _: make(over(CROSSED)).certificate),
        {"dates"},
    ),
    "the issuing CA is trusted too": (also_trusts(lambda b: b.issuing.certificate), set()),
    "the issuing CA is trusted alone": (trusts_only(lambda b: b.issuing.certificate), {"root"}),
    "the leaf is trusted alone": (trusts_only(lambda b: b.leaf.certificate), {"root"}),
    "only the older root is trusted": (
        then(
            lambda b: replace(
                b,
                sent=(*b.sent, crossed()),
                roots=(make(OLDER).certificate,),
            )
        ),
        {"root"},
    ),
}


def build(draft: Draft) -> Built:
    root = make(draft.root)
    issuing = make(draft.issuing, root)
    leaf = make(draft.leaf, issuing)
    return draft.arrange(Built(leaf, issuing, root, leaf.chain, (root.certificate,)))


def chain_of(built: Built, roles: frozenset[Role], name: str, *, is_strict: bool) -> Chain:
    return Chain(
        built.sent,
        built.roots,
        roles,
        dt.datetime.now(dt.UTC),
        "chain.crt",
        name,
        is_strict=is_strict,
    )


def failures(chain: Chain) -> dict[str, Checked]:
    examination = Examination()
    examination.run("", CHAIN_CHECKS, chain)
    return {checked.id: checked for checked in examination.failures()}


def verdict(chain: Chain, made: Made) -> str:
    """Return why OpenSSL refuses; nothing if it does not."""
    examination = Examination()
    examination.run("", REHEARSAL, Credentials(chain, made.key))
    (checked,) = examination.sections[""]
    assert checked.finding.result is not Result.SKIPPED
    return checked.finding.detail if checked.finding.result is Result.FAILED else ""


def compare(odd: Sequence[str], roles: frozenset[Role], name: str, *, is_strict: bool) -> None:
    draft, allowed = GOOD, set[str]()
    for each in odd:
        change, checks = ODDITIES[each]
        draft, allowed = change(draft), allowed | checks
    built = build(draft)
    chain = chain_of(built, roles, name, is_strict=is_strict)
    found = failures(chain)
    said = verdict(chain, built.leaf)
    assert bool(found) == bool(said), (said, {k: v.finding.detail for k, v in found.items()})
    assert set(found) <= allowed, {k: v.finding.detail for k, v in found.items()}


@pytest.mark.parametrize("is_strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("odd", ODDITIES)
def test_each_oddity_by_itself(odd: str, *, is_strict: bool) -> None:
    for roles in (frozenset({Role.SERVER}), frozenset({Role.CLIENT})):
        compare([odd], roles, "localhost", is_strict=is_strict)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    odd=st.lists(st.sampled_from(sorted(ODDITIES)), min_size=2, max_size=3, unique=True),
    roles=st.sampled_from([frozenset({Role.SERVER}), frozenset({Role.CLIENT}), frozenset(Role)]),
    is_strict=st.booleans(),
)
def test_several_oddities_together(
    odd: list[str], roles: frozenset[Role], *, is_strict: bool
) -> None:
    compare(odd, roles, "localhost", is_strict=is_strict)
