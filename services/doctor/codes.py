"""The numbers of TLS and their names, as IANA registers them (tls-parameters)."""

import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

VERSIONS: Final[Mapping[int, str]] = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}
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
