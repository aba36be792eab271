"""What the certificates say (RFC 5280), and that the wrong ones can be made on purpose."""

import datetime as dt
from ipaddress import IPv4Network, IPv6Network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, KeyType
from pki.identities import CLIENT, SERVER, Identity
from pki.pem import parse_key
from pki.signing import is_issued_by

GATEWAY = identity_named("gateway")
NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def kinds(certificate: x509.Certificate) -> set[type[x509.ExtensionType]]:
    return {type(extension.value) for extension in certificate.extensions}


def critical(certificate: x509.Certificate) -> set[type[x509.ExtensionType]]:
    return {type(extension.value) for extension in certificate.extensions if extension.critical}


@pytest.mark.parametrize("identity", IDENTITIES.rows, ids=lambda identity: identity.name)
def test_leaf_says_what_the_table_says(authority: Authority, identity: Identity) -> None:
    leaf = authority.issue(identity).certificate
    san = names(leaf)
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [identity.uri]
    assert san.get_values_for_type(x509.DNSName) == list(identity.dns_names)
    assert len(san) == 1 + len(identity.dns_names)
    ekus = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert tuple(ekus) == identity.ekus


def test_only_servers_have_dns_names() -> None:
    for identity in IDENTITIES:
        assert bool(identity.dns_names) == (SERVER in identity.ekus), identity.name


def test_root_may_sign_one_level_of_cas_and_the_issuing_ca_none(authority: Authority) -> None:
    path_lengths = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        for certificate in (authority.root, authority.issuing.certificate)
    ]
    assert path_lengths == [
        x509.BasicConstraints(ca=True, path_length=1),
        x509.BasicConstraints(ca=True, path_length=0),
    ]


def test_leaf_is_no_ca(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY).certificate
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not constraints.ca
    assert usage.digital_signature
    assert not usage.key_cert_sign


def test_constraints_and_key_usage_are_critical(authority: Authority) -> None:
    always = {x509.BasicConstraints, x509.KeyUsage}
    assert critical(authority.root) == always
    assert critical(authority.issuing.certificate) == always | {x509.NameConstraints}
    assert critical(authority.issue(GATEWAY).certificate) == always


def test_name_constraints_permit_the_demo_and_nothing_else(authority: Authority) -> None:
    constraints = authority.issuing.certificate.extensions.get_extension_for_class(
        x509.NameConstraints
    ).value
    assert constraints.permitted_subtrees == [
        *map(x509.DNSName, IDENTITIES.dns_names),
        x509.RFC822Name("none.invalid"),
    ]
    assert constraints.excluded_subtrees == [
        x509.IPAddress(IPv4Network("0.0.0.0/0")),
        x509.IPAddress(IPv6Network("::/0")),
    ]
    assert set(IDENTITIES.dns_names) == {"video-queue", "gateway", "localhost"}


def test_the_issuing_ca_is_for_tls_alone(authority: Authority) -> None:
    extensions = authority.issuing.certificate.extensions
    ekus = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(ekus) == [SERVER, CLIENT]


def test_each_certificate_names_the_key_that_signed_it(authority: Authority) -> None:
    issuing = authority.issuing.certificate
    leaf = authority.issue(GATEWAY).certificate
    for subject, issuer in (
        (authority.root, authority.root),
        (issuing, authority.root),
        (leaf, issuing),
    ):
        aki = subject.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert aki.key_identifier == ski.digest
        assert is_issued_by(subject, issuer)


def test_serial_numbers_are_never_the_same(authority: Authority) -> None:
    leaves = [authority.issue(GATEWAY).certificate for _ in range(3)]
    serials = {
        each.serial_number for each in (*leaves, authority.root, authority.issuing.certificate)
    }
    assert len(serials) == 5


@pytest.mark.parametrize(
    ("key_type", "kind", "bits"),
    [("ec", ec.EllipticCurvePrivateKey, 256), ("rsa", rsa.RSAPrivateKey, 2048)],
)
def test_key_is_of_the_type_that_was_asked_for(
    authority: Authority,
    key_type: KeyType,
    kind: type[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey],
    bits: int,
) -> None:
    issued = authority.issue(GATEWAY, key_type=key_type)
    key = parse_key(issued.key_pem)
    assert isinstance(key, kind)
    assert key.key_size == bits
    assert key.public_key() == issued.certificate.public_key()


def test_leaf_begins_five_minutes_ago_and_lives_as_long_as_asked(authority: Authority) -> None:
    begun = dt.datetime.now(dt.UTC)
    leaf = authority.issue(GATEWAY, life=dt.timedelta(days=7)).certificate
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    assert end - begin == dt.timedelta(days=7, minutes=5)
    # A certificate's dates have whole seconds.
    earliest = begun.replace(microsecond=0) - dt.timedelta(minutes=5)
    assert earliest <= begin <= dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)


def test_leaf_never_outlives_the_issuing_ca(authority: Authority) -> None:
    end = authority.issuing.certificate.not_valid_after_utc
    longer = dt.timedelta(days=3650)
    assert authority.issue(GATEWAY, life=longer).certificate.not_valid_after_utc == end
    late = end + HOUR
    assert authority.issue(GATEWAY, not_after=late).certificate.not_valid_after_utc == end


def test_chain_is_the_leaf_and_then_the_issuing_ca(authority: Authority) -> None:
    issued = authority.issue(GATEWAY)
    chain = x509.load_pem_x509_certificates(issued.chain_pem)
    assert chain == [issued.certificate, authority.issuing.certificate]


def test_impostor_ca_has_the_same_names_and_other_keys(authority: Authority) -> None:
    impostor = Authority.create(IDENTITIES)
    ours, theirs = authority.issue(GATEWAY).certificate, impostor.issue(GATEWAY).certificate
    assert (theirs.subject, theirs.issuer) == (ours.subject, ours.issuer)
    assert names(theirs) == names(ours)
    assert impostor.root.subject == authority.root.subject
    assert not is_issued_by(theirs, authority.issuing.certificate)


def test_makes_an_expired_certificate(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY, not_after=NOW - HOUR).certificate
    assert leaf.not_valid_before_utc < leaf.not_valid_after_utc < NOW


def test_makes_a_certificate_that_is_not_yet_valid(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY, not_before=NOW + HOUR).certificate
    assert NOW < leaf.not_valid_before_utc < leaf.not_valid_after_utc


def test_makes_a_certificate_without_names(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY, uris=[], dns_names=[]).certificate
    assert x509.SubjectAlternativeName not in kinds(leaf)
    assert x509.SubjectAlternativeName in kinds(authority.issue(GATEWAY).certificate)


def test_makes_a_certificate_with_two_uris(authority: Authority) -> None:
    uris = [GATEWAY.uri, identity_named("probe").uri]
    san = names(authority.issue(GATEWAY, uris=uris).certificate)
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == uris


def test_makes_a_certificate_without_extended_key_usage(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY, ekus=[]).certificate
    assert x509.ExtendedKeyUsage not in kinds(leaf)


def test_makes_a_server_only_certificate(authority: Authority) -> None:
    leaf = authority.issue(GATEWAY, ekus=[SERVER]).certificate
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [SERVER]


def test_never_shows_a_key(authority: Authority) -> None:
    text = repr(authority) + repr(authority.issue(GATEWAY))
    assert "PRIVATE" not in text.upper()
    assert "key=" not in text
