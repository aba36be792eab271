"""The contexts and credentials that the product builds, each setting by what it refuses.

Everything is shaken hands with: an attribute that is set may still do nothing. Each refusal has a
twin that differs in one fact and is accepted.
"""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mtls import Identity, IdentitySource, Role, add_mtls_port
from mtls.certificates import OP_NO_RX_CERTIFICATE_COMPRESSION
from mtls.grpc_client import channel_credentials
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context, pem_path, server_context

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.crl import Revoked
from pki.extensions import extended_key_usage, subject_alternative_name
from pki.identity_folder import write_identity
from pki.pem import certificate_pem, key_pem
from pki.signing import distinguished_name, sign_certificate

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Ends:
    """A server and a client that accept each other, their CA, and two certificates revoked."""

    authority: Authority
    server: Identity
    client: Identity
    revoked_server: Identity
    revoked_client: Identity


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    authority = Authority.create(IDENTITIES)
    names = ("gateway", "client/uploader", "gateway", "client/uploader")
    issued = [authority.issue(identity_named(name)) for name in names]
    crl = authority.crl([Revoked(each.certificate.serial_number) for each in issued[2:]])
    identities = []
    for number, each in enumerate(issued):
        folder = tmp_path_factory.mktemp(str(number))
        write_identity(folder, each, authority.ca_pem, crl_pem=crl)
        role = Role.CLIENT if number % 2 else Role.SERVER
        identities.append(load_identity(folder, roles=frozenset({role})))
    return Ends(authority, *identities)


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost"
) -> tuple[str, ssl.SSLObject]:
    """Return the text of the first error, empty if both accept, and the client's end."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error), ours
    with suppress(ssl.SSLWantReadError):
        ours.read(1)  # tickets come after the handshake
    return "", ours


def verdict(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> str:
    """Return the text of the first error of the two, empty if both accept."""
    return shake_hands(client, server, name)[0]


def leaf_alone(identity: Identity) -> Identity:
    """Return an identity that sends no issuing CA."""
    return replace(identity, chain_pem=certificate_pem(identity.certificate))


def with_common_name(authority: Authority, dns_names: list[str]) -> tuple[bytes, bytes]:
    """Return chain and key of a server with the common name `localhost`."""
    gateway = identity_named("gateway")
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    leaf = sign_certificate(
        subject=distinguished_name(gateway.trust_domain, "localhost"),
        key=key,
        life=(now - dt.timedelta(minutes=5), now + dt.timedelta(hours=1)),
        critical=[x509.BasicConstraints(ca=False, path_length=None)],
        others=[
            *extended_key_usage(gateway.ekus),
            *subject_alternative_name(uris=[gateway.uri], dns_names=dns_names),
        ],
        issuer=authority.issuing,
    )
    return certificate_pem(leaf) + certificate_pem(authority.issuing.certificate), key_pem(key)


def without_key_identifier(authority: Authority, identity: Identity) -> Identity:
    """Return it with a leaf that RFC 5280 does not allow: it has no authorityKeyIdentifier."""
    leaf = identity.certificate
    odd = x509.CertificateBuilder(
        leaf.issuer,
        leaf.subject,
        leaf.public_key(),
        leaf.serial_number,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        [
            each
            for each in leaf.extensions
            if not isinstance(each.value, x509.AuthorityKeyIdentifier)
        ],
    ).sign(authority.issuing.key, SHA256())
    chain = (odd, authority.issuing.certificate)
    return replace(
        identity,
        certificate=odd,
        chain_pem=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
    )


def stock_server(identity: Identity) -> ssl.SSLContext:
    """Return a server that asks for nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pem_path(identity.chain_pem) as chain, pem_path(identity.key_pem) as key:
        context.load_cert_chain(chain, key)
    return context


def stock_client(ends: Ends, identity: Identity | None) -> ssl.SSLContext:
    """Return a client that trusts the CA, for HTTP/2, with or without a certificate."""
    context = ssl.create_default_context(cadata=ends.authority.ca_pem.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    if identity:
        with pem_path(identity.chain_pem) as chain, pem_path(identity.key_pem) as key:
            context.load_cert_chain(chain, key)
    return context


def test_the_two_accept_each_other(ends: Ends) -> None:
    assert verdict(client_context(ends.client), server_context(ends.server)) == ""


def test_a_server_is_not_called_by_its_common_name(ends: Ends) -> None:
    client = client_context(ends.client)
    shown = with_common_name(ends.authority, ["localhost"])
    assert verdict(client, server_context(ends.server, shown=shown)) == ""
    shown = with_common_name(ends.authority, [])
    assert "Hostname mismatch" in verdict(client, server_context(ends.server, shown=shown))


def test_a_server_has_the_name_that_is_called(ends: Ends) -> None:
    client, server = client_context(ends.client), server_context(ends.server)
    assert "Hostname mismatch" in verdict(client, server, "video-queue")


def test_both_sides_are_strict(ends: Ends) -> None:
    server = without_key_identifier(ends.authority, ends.server)
    client = without_key_identifier(ends.authority, ends.client)
    missing = "Missing Authority Key Identifier"
    assert missing in verdict(client_context(ends.client), server_context(server))
    assert missing in verdict(client_context(client), server_context(ends.server))


def test_a_client_without_certificate_is_refused(ends: Ends) -> None:
    refused = verdict(stock_client(ends, None), server_context(ends.server))
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in refused
    assert verdict(stock_client(ends, ends.client), server_context(ends.server)) == ""


def test_a_peer_of_another_ca_is_refused(ends: Ends) -> None:
    stranger = Authority.create(IDENTITIES)

    def of_stranger(name: str) -> Identity:  # it trusts our CA: one side alone refuses
        issued = stranger.issue(identity_named(name))
        return replace(ends.server, chain_pem=issued.chain_pem, key_pem=issued.key_pem)

    server, client = of_stranger("gateway"), of_stranger("client/uploader")
    for refused in (
        verdict(client_context(ends.client), server_context(server)),
        verdict(client_context(client), server_context(ends.server)),
    ):
        assert "CERTIFICATE_VERIFY_FAILED" in refused


def test_the_cas_of_the_system_are_not_trusted(
    ends: Ends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A context that asks for them trusts this one (SSL_CERT_FILE); ours does not."""
    system = Authority.create(IDENTITIES)
    (tmp_path / "system.crt").write_bytes(system.ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.crt"))

    def of_system(identity: Identity, name: str) -> Identity:  # it trusts our CA
        issued = system.issue(identity_named(name))
        return replace(identity, chain_pem=issued.chain_pem, key_pem=issued.key_pem)

    # Without lists: that the system's CA has none is no reason.
    server, client = (replace(each, revocations=None) for each in (ends.server, ends.client))
    strange_server, strange_client = of_system(server, "gateway"), of_system(client, "probe")
    for asks in (False, True):
        ours = client_context(client), server_context(server)
        if asks:
            for context in ours:
                context.set_default_verify_paths()
        assert (verdict(ours[0], server_context(strange_server)) == "") is asks
        assert (verdict(client_context(strange_client), ours[1]) == "") is asks


def test_http_1_1_is_agreed_upon(ends: Ends) -> None:
    error, end = shake_hands(client_context(ends.client), server_context(ends.server))
    assert (error, end.selected_alpn_protocol()) == ("", "http/1.1")
    both = client_context(ends.client, protocols=("h2", "http/1.1"))
    assert shake_hands(both, server_context(ends.server))[1].selected_alpn_protocol() == "http/1.1"


def test_no_certificate_is_asked_for_compressed(ends: Ends) -> None:
    """OpenSSL 3.0 knows no compression: tests/mtls sees with 3.5 what is in the handshake."""
    for context in (client_context(ends.client), server_context(ends.server)):
        assert context.options & OP_NO_RX_CERTIFICATE_COMPRESSION


def test_nothing_older_than_tls_1_3(ends: Ends) -> None:
    old_client, old_server = client_context(ends.client), stock_server(ends.server)
    assert verdict(client_context(ends.client), old_server) == ""
    old_server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "UNSUPPORTED_PROTOCOL" in verdict(client_context(ends.client), old_server)
    old_client.minimum_version = old_client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "UNSUPPORTED_PROTOCOL" in verdict(old_client, server_context(ends.server))


def test_no_session_can_be_resumed(ends: Ends) -> None:
    client = client_context(ends.client)
    for server, tickets in (
        (server_context(ends.server), False),
        (stock_server(ends.server), True),
    ):
        error, end = shake_hands(client, server)
        assert error == ""
        assert end.session is not None
        assert end.session.has_ticket is tickets


def test_a_revoked_peer_is_refused(ends: Ends) -> None:
    """By its leaf: the same chain with another serial number is accepted."""
    revoked = "certificate revoked"
    assert revoked in verdict(client_context(ends.client), server_context(ends.revoked_server))
    assert revoked in verdict(client_context(ends.revoked_client), server_context(ends.server))


def test_a_client_that_sends_its_leaf_alone_is_accepted(ends: Ends) -> None:
    """As Chromium does, and openssl s_client: the issuing CA is the server's own."""
    assert verdict(client_context(leaf_alone(ends.client)), server_context(ends.server)) == ""
    # Revocation is asked of it too.
    revoked = verdict(client_context(leaf_alone(ends.revoked_client)), server_context(ends.server))
    assert "certificate revoked" in revoked
    # Its issuer comes from our chain alone.
    server = server_context(
        leaf_alone(ends.server), shown=(ends.server.chain_pem, ends.server.key_pem)
    )
    refused = verdict(client_context(leaf_alone(ends.client)), server)
    assert "unable to get local issuer certificate" in refused


@pytest.mark.parametrize("sent", ["chain", "leaf alone"])
@pytest.mark.parametrize("ours", ["issuing CA", "issuing CA and root"])
def test_what_is_in_our_own_chain_is_no_anchor(ends: Ends, sent: str, ours: str) -> None:
    """A client of our own issuing CA is refused by a server that trusts another root."""
    other = Authority.create(IDENTITIES, generation=2)
    more = ends.authority.ca_pem if "root" in ours else b""
    trusting = replace(ends.server, chain_pem=ends.server.chain_pem + more, revocations=None)
    client = client_context(ends.client if sent == "chain" else leaf_alone(ends.client))
    assert verdict(client, server_context(trusting)) == ""
    elsewhere = replace(trusting, ca_pem=other.ca_pem)
    assert "CERTIFICATE_VERIFY_FAILED" in verdict(client, server_context(elsewhere))


def grpc_serves(ends: Ends, client: ssl.SSLContext) -> bool:
    """Whether the credentials that we give to gRPC let this client through to HTTP/2."""

    def ask(port: int) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), _SECONDS) as plain,
                client.wrap_socket(plain, server_hostname="localhost") as connection,
            ):
                connection.sendall(HTTP2_PREFACE)
                return connection.recv(1) != b""  # the server's SETTINGS
        except (ssl.SSLError, ConnectionError):
            return False

    async def serve() -> bool:
        server = grpc.aio.server()
        address = add_mtls_port(server, "127.0.0.1:0", IdentitySource(ends.server))
        await server.start()
        try:
            return await asyncio.to_thread(ask, address.port)
        finally:
            await server.stop(None)

    return asyncio.run(serve())


def test_grpc_refuses_a_client_without_certificate(ends: Ends) -> None:
    assert grpc_serves(ends, stock_client(ends, ends.client))
    assert not grpc_serves(ends, stock_client(ends, None))


def test_grpc_serves_nothing_older_than_tls_1_3(ends: Ends) -> None:
    old = stock_client(ends, ends.client)
    assert grpc_serves(ends, old)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not grpc_serves(ends, old)


@contextmanager
def handshakes_of(context: ssl.SSLContext) -> Iterator[tuple[int, Callable[[], str]]]:
    """Yield the port of a server, and what waits for its first handshake and returns its error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_SECONDS)

        def first() -> str:
            accepted, _ = listener.accept()
            accepted.settimeout(_SECONDS)
            with accepted:
                try:
                    context.wrap_socket(accepted, server_side=True).close()
                except ssl.SSLError as error:
                    return str(error)
            return ""

        yield listener.getsockname()[1], first


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_grpc_calls_nothing_older_than_tls_1_3(ends: Ends, version: ssl.TLSVersion) -> None:
    server = stock_server(ends.server)
    server.set_alpn_protocols(["h2"])
    server.maximum_version = version

    async def call(port: int, first: Callable[[], str]) -> str:
        async with grpc.aio.secure_channel(
            f"localhost:{port}", channel_credentials(ends.client)
        ) as channel:
            channel.get_state(try_to_connect=True)
            return await asyncio.to_thread(first)

    with handshakes_of(server) as (port, first):
        error = asyncio.run(call(port, first))
    if version is ssl.TLSVersion.TLSv1_3:
        assert error == ""
    else:
        assert "PROTOCOL" in error or "CIPHER" in error
