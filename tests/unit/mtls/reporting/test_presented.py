"""The certificate of a refused client is a stranger's text: it may not forge or flood our log."""

import datetime as dt

from mtls.reporting.presented import Presented, leaf_of

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(common_name: str, *names: x509.GeneralName) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(0xBEEF)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + dt.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_says_what_the_certificate_says() -> None:
    uri = x509.UniformResourceIdentifier("spiffe://elsewhere.test/gateway")
    assert Presented.parse(certificate("gateway", uri, x509.DNSName("gateway"))) == Presented(
        subject="CN=gateway",
        names=("spiffe://elsewhere.test/gateway", "gateway"),
        issuer="CN=gateway",
        serial="beef",
        not_before="2020-01-01T00:00:00+00:00",
        not_after="2020-01-02T00:00:00+00:00",
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16))
def test_names_are_printable_ascii_in_one_line(common_name: str) -> None:
    presented = Presented.parse(certificate(common_name))
    assert presented is not None
    assert presented.subject.isascii()
    assert presented.subject.isprintable()


def test_names_are_bounded_in_length_and_number() -> None:
    names = [x509.DNSName(f"{number}." + 50 * "name.") for number in range(100)]
    presented = Presented.parse(certificate("x", *names))
    assert presented is not None
    assert len(presented.names) == 10
    assert all(len(name) <= 203 for name in presented.names)


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_none(der: bytes) -> None:
    assert Presented.parse(der) is None


@given(st.binary(max_size=100))
def test_a_malformed_message_does_no_harm(message: bytes) -> None:
    assert leaf_of(message) in message


def test_an_empty_list_has_no_leaf() -> None:
    assert leaf_of(bytes.fromhex("0b000004 00 000000")) == b""
