"""The numbers of TLS and their names, as IANA registers them, and what an alert means."""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

VERSIONS: Final[Mapping[int, str]] = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}
TLS_1_2: Final = 0x0303
TLS_1_3: Final = 0x0304

GROUPS: Final[Mapping[int, str]] = {
    23: "secp256r1",
    24: "secp384r1",
    25: "secp521r1",
    29: "x25519",
    30: "x448",
    256: "ffdhe2048",
    257: "ffdhe3072",
    258: "ffdhe4096",
    259: "ffdhe6144",
    260: "ffdhe8192",
    4587: "SecP256r1MLKEM768",
    4588: "X25519MLKEM768",
    4589: "SecP384r1MLKEM1024",
}

SIGNATURES: Final[Mapping[int, str]] = {
    0x0201: "rsa_pkcs1_sha1",
    0x0203: "ecdsa_sha1",
    0x0301: "rsa_pkcs1_sha224",
    0x0303: "ecdsa_sha224",
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
}


@lru_cache(maxsize=1)
def cipher_suites() -> Mapping[int, str]:
    """Return the suites that OpenSSL knows, by number."""
    suites = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()
    return {suite["id"] & 0xFFFF: suite["name"] for suite in suites}


def named(number: int, names: Mapping[int, str]) -> str:
    """Return the name of a number, or the number as it is written in specifications."""
    return names.get(number, f"0x{number:04X}")


def listed(numbers: Iterable[int], names: Mapping[int, str], limit: int = 4) -> str:
    """Name the first few numbers, and say how many more there are."""
    every = [named(number, names) for number in numbers]
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert's name in the specification, what it means here, and how to fix it."""

    name: str
    meaning: str = ""
    fix: str = ""


_TRUST: Final = (
    "Send a certificate from a CA that the server trusts, and the issuing CA with it; or have "
    "the server trust your CA."
)

ALERTS: Final[Mapping[int, Alert]] = {
    0: Alert("close_notify", "it ended the connection as TLS prescribes"),
    10: Alert("unexpected_message", "it did not expect what we sent"),
    20: Alert("bad_record_mac", "the bytes were changed on the way, or the keys differ"),
    40: Alert(
        "handshake_failure",
        "it found nothing in common with us, or, in TLS 1.2, received no certificate",
        "Send a certificate (--identity); or see the server's log.",
    ),
    42: Alert(
        "bad_certificate",
        "it found our certificate damaged or not yet valid, or gave no better reason",
        "Look at the dates, here and on the server's clock, and in the server's log.",
    ),
    43: Alert(
        "unsupported_certificate",
        "our certificate is not for this purpose",
        "Have it issued again with this extension: extendedKeyUsage = clientAuth",
    ),
    44: Alert("certificate_revoked", "our certificate was revoked", "Have a new one issued."),
    45: Alert(
        "certificate_expired",
        "our certificate has expired by its clock, or its revocation list has",
        "Have it issued again; if it is still valid here, compare the clocks: date -u",
    ),
    46: Alert(
        "certificate_unknown",
        "it does not accept our certificate, for a reason that has no alert of its own, such as a "
        "name that the CA may not issue for",
        "See the server's log.",
    ),
    47: Alert("illegal_parameter", "it found a field of the handshake out of range"),
    48: Alert("unknown_ca", "it does not know the CA that issued our certificate", _TRUST),
    49: Alert(
        "access_denied",
        "our certificate is valid, and we may not connect",
        "Have the name in our certificate added to the server's policy.",
    ),
    50: Alert("decode_error", "it could not read what we sent"),
    51: Alert(
        "decrypt_error",
        "a signature of ours did not verify: key and certificate do not belong together, or the "
        "server has another CA of the same name",
        _TRUST,
    ),
    70: Alert("protocol_version", "it speaks none of the TLS versions that we offer"),
    71: Alert("insufficient_security", "our ciphers or keys are too weak for it"),
    80: Alert("internal_error", "something is wrong on its side"),
    86: Alert("inappropriate_fallback", "it treats our TLS version as a forced downgrade"),
    90: Alert("user_canceled", "it was told to stop"),
    109: Alert("missing_extension", "it misses a field in what we sent"),
    112: Alert("unrecognized_name", "it serves no host of the name that we asked for"),
    115: Alert("unknown_psk_identity", "it does not know the pre-shared key"),
    116: Alert(
        "certificate_required",
        "it requires a client certificate, and received none",
        "Send one: --identity FOLDER, --cert FILE or --pkcs12 FILE.",
    ),
    120: Alert("no_application_protocol", "it speaks none of the protocols that we named (ALPN)"),
}


def alert_named(code: int) -> Alert:
    """Return what an alert is called and means."""
    return ALERTS.get(code, Alert(f"alert {code}"))
