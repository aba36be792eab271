"""Verifiers as strict as they can be, and what a thief of the issuing key may try on them."""

import datetime as dt
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from demo_identities import identity_named
from pki.authority import BACKDATE, LEAF_LIFE, NEW_KEY, Authority, Issued
from pki.extensions import LEAF_KEY_USAGE
from pki.pem import certificate_pem, key_pem
from pki.signing import distinguished_name, sign_certificate
from tests.needs import require_program
from tests.unit.pki.programs import SECONDS

GATEWAY: Final = identity_named("gateway")

# Beside the gateway's own names. No verifier may take the leaf for any of its names then.
FOREIGN_NAMES: Final[Mapping[str, x509.GeneralName]] = {
    "host name": x509.DNSName("evil.test"),
    "IPv4 address": x509.IPAddress(ip_address("127.0.0.1")),
    "IPv6 address": x509.IPAddress(ip_address("::1")),
    "e-mail address": x509.RFC822Name("ann@example.com"),
}


def leaf_of_gateway(
    authority: Authority,
    *more: x509.GeneralName,
    ekus: Sequence[ObjectIdentifier] = GATEWAY.ekus,
) -> Issued:
    """Sign, with the issuing key, a leaf with the gateway's names and these."""
    now, key = dt.datetime.now(dt.UTC), NEW_KEY["ec"]()
    names = [
        x509.UniformResourceIdentifier(GATEWAY.uri),
        *map(x509.DNSName, GATEWAY.dns_names),
        *more,
    ]
    leaf = sign_certificate(
        subject=distinguished_name(GATEWAY.trust_domain, GATEWAY.name),
        key=key,
        life=(now - BACKDATE, now + LEAF_LIFE),
        critical=[x509.BasicConstraints(ca=False, path_length=None), LEAF_KEY_USAGE],
        others=[x509.ExtendedKeyUsage(ekus), x509.SubjectAlternativeName(names)],
        issuer=authority.issuing,
    )
    chain_pem = certificate_pem(leaf) + certificate_pem(authority.issuing.certificate)
    return Issued(leaf, chain_pem, key_pem(key))


@dataclass(frozen=True)
class HttpsServer:
    """What became of each connection: "request", or the reason of OpenSSL."""

    address: str
    outcomes: queue.Queue[str] = field(default_factory=queue.Queue)

    def outcome(self) -> str:
        """Return the next."""
        return self.outcomes.get(timeout=SECONDS)


@contextmanager
def https_server(folder: Path, issued: Issued, *, client_ca: bytes = b"") -> Iterator[HttpsServer]:
    """Serve one short page; with `client_ca`, to clients with a certificate of it alone."""
    pair = folder / "server.pem"
    pair.write_bytes(issued.key_pair_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=client_ca.decode("ascii"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HttpsServer(f"localhost:{listener.getsockname()[1]}")

        def serve(connection: socket.socket) -> None:
            connection.settimeout(SECONDS)
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    if not tls.recv(4096).startswith(b"GET / "):
                        return  # connected in advance, or asks for the page's icon
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                server.outcomes.put("request")
            except ssl.SSLError as error:
                server.outcomes.put(error.reason or "")
            except OSError:
                pass

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def openssl_says(folder: Path) -> str:
    """Return what `openssl verify` objects to, "" for nothing."""
    require_program("openssl", "openssl")
    ended = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-crl_check"),
            *("-CAfile", folder / "ca-certificate.crt", "-CRLfile", folder / "revoked.crl"),
            *("-untrusted", folder / "certificate.crt", folder / "certificate.crt"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ended.returncode == 0) == (not ended.stderr)
    return ended.stderr


def context_of(home: Path, side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(home / "ca-certificate.crt")
    context.load_verify_locations(home / "revoked.crl")
    context.load_cert_chain(home / "key-pair.pem")
    return context


def handshake(*, server: Path, client: Path, name: str = "video-queue") -> None:
    """Let a client in at a server that demands a revocation list of the client's CA."""
    shake_hands(
        context_of(server, ssl.PROTOCOL_TLS_SERVER),
        context_of(client, ssl.PROTOCOL_TLS_CLIENT),
        name,
    )


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "video-queue"
) -> ssl.SSLObject:
    """Finish a handshake in memory and return the server's side. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    unfinished = [client_side, server_side]
    for _ in range(10):  # flights; TLS 1.3 needs three
        for side in unfinished.copy():
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            unfinished.remove(side)
    assert not unfinished
    return server_side
