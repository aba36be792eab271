"""New files are tried by every stack that uses them, before they are used."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mtls import (
    Identity,
    IdentityError,
    Observer,
    Role,
    add_mtls_port,
    mtls_channel,
    rehearsal,
    watch_identity,
)
from mtls.http_listener import accepting
from mtls.identity import load_identity
from mtls.rehearsal import (
    rehearse_client,
    rehearse_grpc_client,
    rehearse_grpc_server,
    rehearse_http_server,
)

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.identity_folder import write_identity

GATEWAY = identity_named("gateway")
KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


def with_key(authority: Authority, kind: str) -> Issued:
    """Return a leaf for the gateway with a key of this kind."""
    leaf, key = authority.issue(GATEWAY).certificate, KEYS[kind]()
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(
            issuer_name=leaf.issuer,
            subject_name=leaf.subject,
            public_key=key.public_key(),
            serial_number=leaf.serial_number,
            not_valid_before=leaf.not_valid_before_utc,
            not_valid_after=leaf.not_valid_after_utc,
            extensions=[each for each in leaf.extensions if type(each.value) is not type(ski)],
        )
        .add_extension(ski, critical=False)
        .sign(authority.issuing.key, SHA256())
    )
    chain = (certificate, authority.issuing.certificate)
    return Issued(
        certificate,
        chain_pem=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


@cache
def lists_of(authority: Authority) -> bytes:
    """Return the same lists each time, so that new files are one change."""
    return authority.crl()


def write(folder: Path, authority: Authority, issued: Issued) -> None:
    write_identity(folder, issued, authority.ca_pem, crl_pem=lists_of(authority))


@pytest.mark.parametrize("kind", KEYS)
def test_grpc_uses_three_kinds_of_keys_and_openssl_all(
    tmp_path: Path, authority: Authority, kind: str
) -> None:
    write(tmp_path, authority, with_key(authority, kind))
    identity = load_identity(tmp_path, roles=frozenset(Role))
    rehearse_http_server(identity)
    rehearse_client(identity)
    for rehearse in (rehearse_grpc_server, rehearse_grpc_client):
        if kind in {"P-256", "P-384", "RSA"}:
            rehearse(identity)
        else:
            with pytest.raises(IdentityError, match="RSA, P-256 and P-384 only"):
                rehearse(identity)


REHEARSALS = [rehearse_http_server, rehearse_client, rehearse_grpc_server, rehearse_grpc_client]


@pytest.mark.parametrize("rehearse", REHEARSALS)
def test_what_a_peer_would_refuse_is_refused_here(
    tmp_path: Path, authority: Authority, rehearse: Callable[[Identity], None]
) -> None:
    """Names that the issuing CA may not vouch for are left to TLS when the files are loaded."""
    write(tmp_path, authority, authority.issue(GATEWAY))
    rehearse(load_identity(tmp_path, roles=frozenset(Role)))
    outside = authority.issue(GATEWAY, dns_names=["localhost", "evil.test"])
    write(tmp_path, authority, outside)
    with pytest.raises(IdentityError, match="refuses"):
        rehearse(load_identity(tmp_path, roles=frozenset(Role)))


def test_a_server_needs_a_name(tmp_path: Path, authority: Authority) -> None:
    write(tmp_path, authority, authority.issue(GATEWAY, dns_names=[]))
    identity = load_identity(tmp_path, roles=frozenset(Role))
    rehearse_client(identity)
    with pytest.raises(IdentityError, match="names no host"):
        rehearse_http_server(identity)


class Events(Observer):
    """Keeps what becomes of new files."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[str] = asyncio.Queue()

    def identity_renewed(self, identity: Identity) -> None:
        self.events.put_nowait(f"renewed {identity.serial}")

    def identity_refused(self, current: Identity, error: str) -> None:
        self.events.put_nowait(f"refused {error}")

    async def next(self) -> str:
        return await asyncio.wait_for(self.events.get(), 30)


async def test_a_renewal_that_grpc_cannot_use_is_refused_and_the_old_one_serves_on(
    tmp_path: Path, authority: Authority
) -> None:
    write(tmp_path, authority, authority.issue(GATEWAY))
    events = Events()
    async with watch_identity(tmp_path, *Role, observer=events, poll_seconds=0.02) as identity:
        server = grpc.aio.server()
        address = add_mtls_port(server, "127.0.0.1:0", identity)
        await server.start()
        before = identity.current
        write(tmp_path, authority, with_key(authority, "Ed25519"))
        assert "RSA, P-256 and P-384 only" in await events.next()
        assert identity.current is before
        async with mtls_channel(f"localhost:{address.port}", identity) as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
        write(tmp_path, authority, renewed := with_key(authority, "P-384"))
        assert await events.next() == f"renewed {renewed.certificate.serial_number:x}"
        await server.stop(None)


async def test_the_same_renewal_is_used_where_only_http_is_served(
    tmp_path: Path, authority: Authority
) -> None:
    write(tmp_path, authority, authority.issue(GATEWAY))
    events = Events()
    async with (
        watch_identity(tmp_path, *Role, observer=events, poll_seconds=0.02) as identity,
        accepting(asyncio.Protocol, "127.0.0.1:0", identity),
    ):
        write(tmp_path, authority, renewed := with_key(authority, "Ed25519"))
        assert await events.next() == f"renewed {renewed.certificate.serial_number:x}"


async def test_what_grpc_cannot_use_does_not_start(tmp_path: Path, authority: Authority) -> None:
    write(tmp_path, authority, with_key(authority, "Ed25519"))
    async with watch_identity(tmp_path, *Role) as identity:
        with pytest.raises(IdentityError, match="RSA, P-256 and P-384 only"):
            add_mtls_port(grpc.aio.server(), "127.0.0.1:0", identity)
        with pytest.raises(IdentityError, match="RSA, P-256 and P-384 only"):
            await mtls_channel("localhost:1", identity).__aenter__()


async def test_an_older_list_is_refused_as_a_renewal(tmp_path: Path, authority: Authority) -> None:
    write(tmp_path, authority, authority.issue(GATEWAY))
    older = authority.crl(number=1)
    events = Events()
    async with watch_identity(tmp_path, *Role, observer=events, poll_seconds=0.02):
        (tmp_path / "revoked.crl").write_bytes(older)
        assert "holds an older list" in await events.next()


def test_a_handshake_that_does_not_end_is_refused(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one round the two hellos are said, and nothing has been verified."""
    write_identity(tmp_path, authority.issue(GATEWAY), authority.ca_pem)
    identity = load_identity(tmp_path, roles=frozenset(Role))
    rehearse_http_server(identity)
    monkeypatch.setattr(rehearsal, "_ROUNDS", 1)
    with pytest.raises(IdentityError, match="does not come to an end"):
        rehearse_http_server(identity)
