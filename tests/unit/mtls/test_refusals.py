from mtls.refusals import Reason, Refusal
from mtls.reporting.core_log import CoreLine, parse_core_line

import pytest
from hypothesis import given
from hypothesis import strategies as st

CORE_PREFIX = "I1123 11:54:13.051165   12025 ssl_transport_security.cc:2563] "
HANDSHAKE = CORE_PREFIX + "Handshake failed with error SSL_ERROR_SSL: error:1000007d:"


def test_reads_the_reason_from_the_core_of_grpc() -> None:
    line = HANDSHAKE + (
        "SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired"
    )
    parsed = parse_core_line(line)
    assert parsed is not None
    assert parsed.refusal == Refusal(
        Reason.EXPIRED, "CERTIFICATE_VERIFY_FAILED: certificate has expired"
    )


def test_leaves_out_the_verdict_that_is_none() -> None:
    line = HANDSHAKE + (
        "SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE: "
        "Invalid certificate verification context"
    )
    parsed = parse_core_line(line)
    assert parsed is not None
    assert parsed.refusal == Refusal(Reason.NO_CERTIFICATE, "PEER_DID_NOT_RETURN_A_CERTIFICATE")


def test_keeps_warnings_and_drops_small_talk() -> None:
    assert parse_core_line(CORE_PREFIX + "all is well") is None
    assert parse_core_line(CORE_PREFIX.replace("I", "E", 1) + "no memory") == CoreLine("no memory")


def test_does_not_claim_lines_that_are_not_the_cores() -> None:
    with pytest.raises(ValueError, match="C-core"):
        parse_core_line("Fatal Python error: Segmentation fault")


@given(st.text())
def test_a_text_never_seen_before_is_still_a_refusal(text: str) -> None:
    refusal = Refusal.from_text(text)
    assert refusal.error == text
    assert refusal.reason in Reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CERTIFICATE_VERIFY_FAILED: unsuitable certificate purpose", Reason.WRONG_PURPOSE),
        ("CERTIFICATE_VERIFY_FAILED: unsupported certificate purpose", Reason.WRONG_PURPOSE),
        ("CERTIFICATE_VERIFY_FAILED: something new", Reason.BAD_CERTIFICATE),
        ("TLSV1_ALERT_UNKNOWN_CA", Reason.REFUSED_BY_PEER),
        ("something new", Reason.HANDSHAKE_FAILED),
    ],
)
def test_the_texts_of_both_libraries_lead_to_one_code(text: str, reason: Reason) -> None:
    assert Refusal.from_text(text).reason is reason
