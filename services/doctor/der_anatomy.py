"""Every byte of a certificate, named (X.690 for DER, RFC 5280 for what stands where)."""

from collections.abc import Iterator, Mapping
from typing import Final

from doctor.anatomy import Anatomist
from doctor.messages import DecodeError

_MAX_DEPTH: Final = 24
_LONG: Final = 0x80
_CONSTRUCTED: Final = 0x20
_CONTEXT: Final = 0x80
_INTEGER, _BITS, _OID, _SEQUENCE = 0x02, 0x03, 0x06, 0x30
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_USAGES: Final = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)

_TAGS: Final[Mapping[int, str]] = {
    0x01: "BOOLEAN",
    0x02: "INTEGER",
    0x03: "BIT STRING",
    0x04: "OCTET STRING",
    0x05: "NULL",
    0x06: "OBJECT IDENTIFIER",
    0x0C: "UTF8String",
    0x13: "PrintableString",
    0x16: "IA5String",
    0x17: "UTCTime",
    0x18: "GeneralizedTime",
    0x30: "SEQUENCE",
    0x31: "SET",
}
_TEXTS: Final = frozenset({0x0C, 0x13, 0x16, 0x17, 0x18})

OIDS: Final[Mapping[str, str]] = {
    "1.2.840.10045.2.1": "elliptic curve public key",
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
    "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.11": "RSA with SHA-256",
    "2.5.4.3": "common name (CN)",
    "2.5.4.6": "country (C)",
    "2.5.4.10": "organization (O)",
    "2.5.4.11": "organizational unit (OU)",
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.30": "nameConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.37": "extendedKeyUsage",
    "1.3.6.1.5.5.7.3.1": "serverAuth: for servers",
    "1.3.6.1.5.5.7.3.2": "clientAuth: for clients",
}
_EXTENSION_TEXTS: Final[Mapping[str, str]] = {
    "subjectKeyIdentifier": "names the key in this certificate",
    "authorityKeyIdentifier": "names the key that signed it: the issuer's subjectKeyIdentifier",
    "subjectAltName": "who this is; nothing else in a certificate says that",
    "extendedKeyUsage": "what the key may be used for in TLS",
    "keyUsage": "what the key may do",
    "basicConstraints": "whether it is a CA",
    "nameConstraints": "for which names this CA may issue",
}


def certificate(cut: Anatomist) -> None:
    """Cut a certificate into parts (RFC 5280, section 4.1)."""
    if cut.peek(1) != bytes([_SEQUENCE]):
        cut.rest("certificate", "not DER")
        return
    with cut.within(_header(cut, "certificate")):
        if not cut.left:
            return
        with cut.group("what is signed"), cut.within(_header(cut, "to-be-signed certificate")):
            if cut.peek(1) == b"\xa0":
                element(cut, "version", ("number, from 0",))
            element(cut, "serial number")
            element(cut, "signature algorithm", ("algorithm", "parameters"))
            name(cut, "issuer")
            element(cut, "validity", ("not before", "not after"))
            name(cut, "subject")
            _public_key(cut)
            if cut.left:
                _extensions(cut)
        with cut.group("the CA's signature"):
            element(cut, "signature algorithm", ("algorithm", "parameters"))
            element(cut, "signature", text="by the issuer's key, over what is signed")


def name(cut: Anatomist, label: str) -> None:
    """Cut a distinguished name into parts."""
    with cut.group(label), cut.within(_header(cut, label)):
        while cut.left:
            with cut.within(_header(cut, "part of the name")):
                while cut.left:
                    element(cut, "attribute", ("which", "value"))


def _public_key(cut: Anatomist) -> None:
    with cut.group("public key"), cut.within(_header(cut, "public key")):
        element(cut, "kind of key", ("algorithm", "curve"))
        element(cut, "key", text="anybody may know it; the private key to it never travels")


def _extensions(cut: Anatomist) -> None:
    with (
        cut.group("extensions"),
        cut.within(_header(cut, "extensions")),
        cut.within(_header(cut, "list")),
    ):
        while cut.left:
            label = _extension_name(cut.peek(16))
            with (
                cut.group(label, _EXTENSION_TEXTS.get(label, "")),
                cut.within(_header(cut, "extension")),
            ):
                _extension(cut, label)


def _extension(cut: Anatomist, label: str) -> None:
    element(cut, "which")
    if cut.peek(1) == b"\x01":
        element(cut, "critical", text="who does not understand it must refuse")
    with cut.within(_header(cut, "value")):
        if label == "keyUsage" and cut.peek(1) == bytes([_BITS]):
            usage = cut.peek(cut.left)[3:]
            element(cut, label, text=", ".join(_usages(usage)))
        else:
            element(cut, label)


def _usages(bits: bytes) -> Iterator[str]:
    """Name the bits that are set, the first of which is the highest (RFC 5280, 4.2.1.3)."""
    for number, usage in enumerate(_USAGES):
        if number // 8 < len(bits) and bits[number // 8] & 0x80 >> number % 8:
            yield usage


def _extension_name(head: bytes) -> str:
    try:
        peek = Anatomist(head)
        _length(peek)
        length = _length(peek)
        return OIDS.get(oid := _oid(head[peek.position : peek.position + length]), oid)
    except DecodeError:
        return "extension"


def _length(cut: Anatomist) -> int:
    """Take a tag and a length, without a name for them; return the length."""
    cut.take(1, "")
    first = cut.number(1, "")
    return cut.number(first - _LONG, "") if first > _LONG else first


def _header(cut: Anatomist, label: str) -> int:
    """Take tag and length; return the length."""
    head = cut.peek(6)
    if len(head) < 2:
        raise DecodeError("A tag and a length are missing.")
    more = head[1] - _LONG if head[1] > _LONG else 0
    if more > 4 or head[1] == _LONG or len(head) < 2 + more:
        raise DecodeError("A length cannot be read.")
    length = int.from_bytes(head[2 : 2 + more], "big") if more else head[1]
    tag = _TAGS.get(head[0], f"[{head[0] & 0x1F}]")
    cut.take(2 + more, f"{label}: header", f"{tag}, {length:,} bytes")
    return length


def element(
    cut: Anatomist, label: str, inside: tuple[str, ...] = (), text: str = "", depth: int = 0
) -> None:
    """Cut any element into parts; `inside` are names for what it consists of, in order."""
    if depth > _MAX_DEPTH:
        raise DecodeError("It is nested too deeply.")
    if not cut.left:
        return
    tag = cut.peek(1)[0]
    length = _header(cut, label)
    with cut.within(length):
        if tag & _CONSTRUCTED:
            names = iter(inside)
            while cut.left:
                element(cut, next(names, label), depth=depth + 1)
            return
        content = cut.peek(cut.left)
        cut.rest(label, text or _say(tag, content))


def _say(tag: int, content: bytes) -> str:
    if tag == _OID:
        oid = _oid(content)
        return OIDS.get(oid, oid)
    if tag == 0x01:
        return "true" if any(content) else "false"
    if tag == _INTEGER and len(content) <= 4:
        return str(int.from_bytes(content, "big", signed=True))
    if tag in {_UTC_TIME, _GENERALIZED_TIME}:
        return _time(content.decode("ascii", "backslashreplace"))
    if tag in _TEXTS:
        return content.decode("utf-8", "backslashreplace")
    is_text = (
        tag & 0xC0 == _CONTEXT and content.isascii() and content.decode("latin-1").isprintable()
    )
    return content.decode("ascii") if is_text else ""


def _time(text: str) -> str:
    """RFC 5280, section 4.1.2.5: a year of two digits is one from 1950 to 2049."""
    if len(text) == len("YYMMDDHHMMSSZ"):
        text = ("19" if text >= "50" else "20") + text
    day, clock = text[:8], text[8:14]
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {clock[:2]}:{clock[2:4]}:{clock[4:]} UTC"


def _oid(content: bytes) -> str:
    """Return an object identifier in dots (X.690, section 8.19)."""
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & _LONG:
            numbers.append(number)
            number = 0
    if not numbers:
        return "empty"
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))
