"""A handshake of which both ends are in this process, over a pair of sockets.

For what a well-kept server does not do: TLS 1.2, and resumed sessions. The client is the identity
that it is given; the server's certificate is made for this one run, and its CA is trusted by this
one client.
"""

import datetime as dt
import socket
import ssl
from contextlib import suppress
from threading import Thread
from typing import Final

from mtls.certificates import OP_NO_RX_CERTIFICATE_COMPRESSION
from mtls.identity import Identity
from mtls.ssl_contexts import pem_path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from doctor.calls import Protocol, question_for
from doctor.connection import Attempt, Question, Target, converse_over
from doctor.rehearsal import verifying_client

NAME: Final = "in-memory.invalid"
_TARGET: Final = Target(NAME, 443, NAME)
_SECONDS: Final = 5.0
_LIFE: Final = dt.timedelta(hours=1)
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def record_both_ends(
    identity: Identity, version: ssl.TLSVersion, *, is_resumed: bool = False
) -> Attempt:
    """Shake hands as `identity`, in TLS 1.2 or 1.3; a resumed session comes after a full one."""
    root, chain_pem, key_pem = _server_certificate()
    server = _server(identity, chain_pem, key_pem, version)
    client = _client(identity, root, version)
    first = _converse(client, server, None)
    return _converse(client, server, first.session) if is_resumed else first


def _converse(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None
) -> Attempt:
    ours, theirs = socket.socketpair()
    thread = Thread(target=_serve, args=(server, theirs), name="in-memory-server")
    thread.start()
    request = question_for(Protocol.HTTP, _TARGET, "/").ask(None)
    # In TLS 1.3 a ticket says that the server has verified us; in TLS 1.2 its Finished has.
    patience = 0.5 if client.maximum_version is ssl.TLSVersion.TLSv1_3 else 0.0
    question = Question(
        ("http/1.1",), patience, lambda _: request, lambda answer: b"ok\n" in answer
    )
    with ours:
        attempt = converse_over(
            ours, _TARGET, client, question, _SECONDS, with_secrets=True, session=session
        )
    thread.join()
    return attempt


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    connection.settimeout(_SECONDS)
    # A refusal is recorded at the client; it ends this thread and no more.
    with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        if tls.recv(4096):
            tls.sendall(_ANSWER)
            tls.recv(1)  # until the client goes: what it has not read is lost otherwise


def _client(identity: Identity, root: x509.Certificate, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = verifying_client((root,), is_strict=True)
    _show(context, identity.chain_pem, identity.key_pem, version)
    return context


def _server(
    identity: Identity, chain_pem: bytes, key_pem: bytes, version: ssl.TLSVersion
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=identity.ca_pem.decode("ascii"))
    context.set_alpn_protocols(["http/1.1"])
    context.options |= OP_NO_RX_CERTIFICATE_COMPRESSION  # to be read byte by byte
    context.num_tickets = 1
    _show(context, chain_pem, key_pem, version)
    return context


def _show(
    context: ssl.SSLContext, chain_pem: bytes, key_pem: bytes, version: ssl.TLSVersion
) -> None:
    context.minimum_version = context.maximum_version = version
    with pem_path(chain_pem) as chain, pem_path(key_pem) as key:
        context.load_cert_chain(chain, key)


def _server_certificate() -> tuple[x509.Certificate, bytes, bytes]:
    """Make a root and a leaf below it: (root, leaf in PEM, the leaf's key in PEM)."""
    root_key, leaf_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    root_name = _name("in-memory root")
    root = (
        _builder(root_name, root_name, root_key, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        _builder(_name(NAME), root_name, leaf_key, root_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    key_pem = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return root, leaf.public_bytes(Encoding.PEM), key_pem


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
