"""What OpenSSL says about a certificate, in a handshake in memory; and whether mtls loads it."""

import datetime as dt
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Final

from mtls.certificates import OP_NO_RX_CERTIFICATE_COMPRESSION, Role
from mtls.identity import LAYOUTS, Identity, IdentityError, load_identity
from mtls.rehearsal import (
    rehearse_client,
    rehearse_grpc_client,
    rehearse_grpc_server,
    rehearse_http_server,
)

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from doctor.chain import Chain
from doctor.checks import Check, Finding, failed, note, ok, skipped
from doctor.names import covers, is_host_name, names_of

_FLIGHTS: Final = 8  # a handshake in memory takes three
_STAND_IN: Final = "the-other-side.invalid"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate chain and the key of its leaf, ready for use."""

    chain: Chain
    key: PrivateKeyTypes

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give them to a TLS context. Raises `ssl.SSLError` if OpenSSL does not take them.

        Python loads keys from files only, so for a moment there is one: encrypted, in a folder
        that no other user can open.
        """
        password = token_hex(32)
        pem = self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
        )
        with TemporaryDirectory() as folder:
            path = Path(folder) / "key-pair.pem"
            path.write_bytes(pem + pem_of(self.chain.certificates))
            context.load_cert_chain(path, password=password)


def pem_of(certificates: tuple[x509.Certificate, ...]) -> bytes:
    """Return certificates as PEM text."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def verifying_client(roots: tuple[x509.Certificate, ...], *, is_strict: bool) -> ssl.SSLContext:
    """Return a client's context that trusts these roots, takes names from the SAN alone, and
    reads RFC 5280 to the letter if told to. It speaks TLS 1.2 and 1.3."""
    return _verifying(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), roots, is_strict=is_strict)


def _verifying(
    context: ssl.SSLContext, roots: tuple[x509.Certificate, ...], *, is_strict: bool
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= OP_NO_RX_CERTIFICATE_COMPRESSION  # a server may know none that we can read
    context.verify_mode = ssl.CERT_REQUIRED
    context.hostname_checks_common_name = False
    if is_strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    if roots:
        context.load_verify_locations(cadata=pem_of(roots).decode("ascii"))
    return context


def _rehearse(credentials: Credentials) -> Finding:
    chain = credentials.chain
    if not chain.roots:
        return skipped("no CA to compare with: give it with --ca")
    said = []
    for role in sorted(chain.roles, key=lambda role: role.value):
        dialled = chain.name or _name_to_dial(chain.leaf)
        if role is Role.SERVER and not dialled:
            continue  # a server without a name: that has a check of its own
        try:
            words = _verdict(credentials, role, dialled)
        except ssl.SSLError as error:
            words = f"it cannot be loaded: {error.reason}"
        if words:
            return failed(
                f"As a {role.name.lower()}'s certificate OpenSSL refuses it: {words.rstrip('.')}.",
                "Fix what failed above. If nothing failed there, this is the cause.",
            )
        said.append(f"a {role.name.lower()}'s")
    return ok(f"It accepts it as {' and '.join(said)}.") if said else skipped("no role to rehearse")


@dataclass(frozen=True, slots=True)
class Start:
    """The folder that a service would start with, in these roles, and whether for gRPC."""

    folder: Path
    certificate: Path
    roles: frozenset[Role]
    is_for_grpc: bool

    def is_meant(self, leaf: x509.Certificate) -> bool:
        """Whether the folder can be one for mtls: its file names say so, or its SPIFFE ID."""
        ours, *others = (layout.certificate for layout in LAYOUTS)
        names = names_of(leaf)
        has_id = any(uri.startswith("spiffe://") for uri in names.uris)
        return self.certificate.name == ours or (self.certificate.name in others and has_id)

    @property
    def rehearsals(self) -> list[Callable[[Identity], None]]:
        """What a service does with its identity before it is used."""
        found = {
            Role.SERVER: rehearse_grpc_server if self.is_for_grpc else rehearse_http_server,
            Role.CLIENT: rehearse_grpc_client if self.is_for_grpc else rehearse_client,
        }
        return [rehearsal for role, rehearsal in found.items() if role in self.roles]


def _start(start: tuple[Start, Chain]) -> Finding:
    service, chain = start
    try:
        identity = load_identity(service.folder, roles=service.roles)
        for rehearse in service.rehearsals:
            rehearse(identity)
    except ImportError:
        return skipped("grpcio is not installed: pip install grpcio")
    except IdentityError as error:
        found = failed if service.is_meant(chain.leaf) else note
        return found(
            f"It does not: {error}",
            "Do what this says; other programs may take the files as they are.",
        )
    return ok(f"It starts as {identity.spiffe_id}.")


def _name_to_dial(leaf: x509.Certificate) -> str:
    """Return a name that the certificate is for, as a client can dial it; empty if it has none."""
    names = names_of(leaf)
    hosts = (name.replace("*", "any") for name in names.dns)
    dialled = (name for name in hosts if is_host_name(name) and covers(names, name))
    return next(iter((*dialled, *map(str, names.addresses))), "")


def _verdict(credentials: Credentials, role: Role, dialled: str) -> str:
    """Shake hands in memory; return why the other side refuses, or nothing."""
    chain, other = credentials.chain, _stand_in(credentials.chain.now)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if role is Role.SERVER:
        client = verifying_client(chain.roots, is_strict=chain.is_strict)
        credentials.load_into(server)
    else:
        client = verifying_client(other.chain.roots, is_strict=False)
        credentials.load_into(client)
        other.load_into(server)
        _verifying(server, chain.roots, is_strict=chain.is_strict)
        dialled = _STAND_IN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=dialled)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_FLIGHTS):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return str(error.reason)
    return ""


def _stand_in(now: dt.datetime) -> Credentials:
    """Make a certificate, trusted in this rehearsal only, for the side that is not examined."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _STAND_IN)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_STAND_IN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Credentials(Chain((certificate,), (certificate,), frozenset(), now, ""), key)


REHEARSAL: Final = (Check("openssl", "OpenSSL accepts it, in a handshake with itself", _rehearse),)
# What `mtls` itself says, when nothing else has failed.
STARTS: Final = (
    Check("starts", "A service that is built with mtls starts with it", _start, ("openssl",)),
)
