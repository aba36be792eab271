"""Certificates of every kind, good and bad: each argument is one fact that can be changed."""

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.needs import require_program

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
HOUR: Final = dt.timedelta(hours=1)
NOW: Final = dt.datetime.now(dt.UTC)


def key_usage(*names: str) -> x509.KeyUsage:
    """Return a key usage with these and no others."""
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in every})


@dataclass(frozen=True)
class Spec:
    """What to write into a certificate. None leaves an extension out."""

    subject: str = "leaf"
    ca: bool | None = False
    path_length: int | None = None
    is_basic_critical: bool = True
    usage: x509.KeyUsage | None = field(default_factory=lambda: key_usage("digital_signature"))
    ekus: Sequence[ObjectIdentifier] = (SERVER, CLIENT)
    dns: Sequence[str] = ("localhost",)
    addresses: Sequence[str] = ()
    uris: Sequence[str] = ()
    constraints: x509.NameConstraints | None = None
    begin: dt.datetime = NOW - HOUR
    end: dt.datetime = NOW + 24 * HOUR
    key: Key | None = None
    has_aki: bool = True
    aki: x509.AuthorityKeyIdentifier | None = None
    has_ski: bool = True
    others: Sequence[x509.ExtensionType] = ()
    criticals: Sequence[x509.ExtensionType] = ()


ROOT: Final = Spec(
    subject="root",
    ca=True,
    usage=key_usage("key_cert_sign", "crl_sign"),
    ekus=(),
    dns=(),
    begin=NOW - 100 * HOUR,
    end=NOW + 1000 * HOUR,
)
ISSUING: Final = replace(ROOT, subject="issuing", path_length=0)
LEAF: Final = Spec()


@dataclass(frozen=True)
class Made:
    """A certificate with its key, and its issuer."""

    certificate: x509.Certificate
    key: Key
    issuer: Self | None = None

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """This and its issuers, without the root."""
        if self.issuer is None:
            return ()
        return (self.certificate, *self.issuer.chain)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    @property
    def root(self) -> Self:
        return self if self.issuer is None else self.issuer.root

    def key_pem(self, password: bytes | None = None) -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def make(spec: Spec, issuer: Made | None = None) -> Made:
    """Sign a certificate, by its own key if there is no issuer."""
    key = spec.key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, spec.subject)] if spec.subject else []
    )
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(spec.begin)
        .not_valid_after(spec.end)
    )
    for extension, is_critical in _extensions(spec, key, signer):
        builder = builder.add_extension(extension, critical=is_critical)
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, algorithm), key, issuer)


def _extensions(spec: Spec, key: Key, signer: Key) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if spec.ca is not None:
        basic = x509.BasicConstraints(spec.ca, spec.path_length if spec.ca else None)
        found.append((basic, spec.is_basic_critical))
    if spec.usage:
        found.append((spec.usage, True))
    if spec.ekus:
        found.append((x509.ExtendedKeyUsage(spec.ekus), False))
    names: list[x509.GeneralName] = [
        *map(x509.DNSName, spec.dns),
        *(x509.IPAddress(ipaddress.ip_address(each)) for each in spec.addresses),
        *map(x509.UniformResourceIdentifier, spec.uris),
    ]
    if names:
        found.append((x509.SubjectAlternativeName(names), False))
    if spec.constraints:
        found.append((spec.constraints, True))
    if spec.has_ski:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if spec.has_aki:
        public = signer.public_key()
        by_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
        found.append((spec.aki or by_key, False))
    found += [(other, False) for other in spec.others]
    found += [(critical, True) for critical in spec.criticals]
    return found


def leaf(
    spec: Spec = LEAF,
    *,
    issuing: Spec | None = ISSUING,
    root: Spec = ROOT,
) -> Made:
    """Make a leaf below an issuing CA below a root; without `issuing`, right below the root."""
    top = make(root)
    return make(spec, make(issuing, top) if issuing else top)


def run_shell(command: str, folder: Path) -> None:
    """Run a command of the doctor's as a person would."""
    if "openssl" in command:
        require_program("openssl", "openssl")
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True)


def openssl(*arguments: str, folder: Path) -> None:
    """Run the openssl command in a folder, for what the cryptography library does not sign."""
    require_program("openssl", "openssl")
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
