"""Who comes back by a resumed session is looked at again: its certificate may be no longer valid.

A resumed session (RFC 8446, section 2.2) shows no certificate, and TLS takes its old verdict. The
gateway hands out no tickets, so there is none to resume. gRPC's C-core does, and cannot be told
not to: its sessions are resumed, and each call is checked by the certificate of the first session.
"""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mtls.certificates import Role
from mtls.grpc_server import add_mtls_port, authorize_calls
from mtls.identity import load_identity
from mtls.identity_source import IdentitySource
from mtls.revocation import Revocations

import grpc.aio
import pytest
from grpc.experimental import session_cache

from demo_identities import IDENTITIES, identity_named
from impostors import Impostor, tls_context
from local_stack import Service, Stack
from pki.authority import Authority, Issued
from pki.crl import Revoked
from pki.identity_folder import write_identity

GATEWAY = identity_named("gateway")
CALL = "/my.v1.Service/Call"
LIFE = dt.timedelta(seconds=6)  # time enough for two calls, on a busy machine too

_new_cache: Any = partial(session_cache.ssl_session_cache_lru, 8)


@dataclass
class Server:
    """A gRPC server in this process, and for each call that got in whether it was resumed."""

    source: IdentitySource
    authority: Authority
    port: int = 0
    resumed: list[bool] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        interceptor = authorize_calls(self.source, {CALL: {"gateway"}})
        server = grpc.aio.server(interceptors=[interceptor])
        call: Any = grpc.unary_unary_rpc_method_handler(self._call)
        handlers = grpc.method_handlers_generic_handler("my.v1.Service", {"Call": call})
        server.add_generic_rpc_handlers((handlers,))
        self.port = add_mtls_port(server, "127.0.0.1:0", self.source).port
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)

    async def _call(self, _request: bytes, context: Any) -> bytes:
        self.resumed.append(context.auth_context()["ssl_session_reused"] == [b"true"])
        return b""


@dataclass
class Client:
    """A client that keeps its sessions, and connects anew for each call."""

    server: Server
    issued: Issued
    sessions: Any = field(default_factory=_new_cache)

    async def call(self) -> None:
        credentials = grpc.ssl_channel_credentials(
            self.server.authority.ca_pem, self.issued.key_pem, self.issued.chain_pem
        )
        options = [
            ("grpc.ssl_session_cache", self.sessions),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        address = f"localhost:{self.server.port}"
        async with grpc.aio.secure_channel(address, credentials, options) as channel:
            method: Any = channel.unary_unary(CALL)
            await method(b"", timeout=30)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    authority = Authority.create(IDENTITIES)
    queue = identity_named("video-queue")
    write_identity(tmp_path, authority.issue(queue), authority.ca_pem, crl_pem=authority.crl())
    identity = load_identity(tmp_path, roles=frozenset({Role.SERVER}))
    server = Server(IdentitySource(identity), authority)
    async with server.open():
        yield server


async def test_a_good_certificate_comes_back_by_its_session(server: Server) -> None:
    """The twin of all that follow."""
    client = Client(server, server.authority.issue(GATEWAY))
    await client.call()
    await client.call()
    assert server.resumed == [False, True]


async def refused(client: Client) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await client.call()
    return refused.value.code()


async def test_a_certificate_that_has_expired_does_not(server: Server) -> None:
    end = dt.datetime.now(dt.UTC) + LIFE
    client = Client(server, server.authority.issue(GATEWAY, not_after=end))
    await client.call()
    await client.call()
    while dt.datetime.now(dt.UTC) <= end:  # noqa: ASYNC110  the clock tells nobody
        await asyncio.sleep(0.1)
    code = await refused(client)
    assert code is grpc.StatusCode.UNAUTHENTICATED  # by the authorizer: TLS let it in
    assert server.resumed == [False, True]


async def test_a_revoked_certificate_does_not(server: Server) -> None:
    """New lists make a new configuration, with which the C-core drops its tickets, too."""
    lost, twin = (Client(server, server.authority.issue(GATEWAY)) for _ in range(2))
    await lost.call()
    await twin.call()
    crl = server.authority.crl([Revoked(lost.issued.certificate.serial_number)])
    server.source.replace(replace(server.source.current, revocations=Revocations.parse(crl)))
    assert await refused(lost) is grpc.StatusCode.UNAUTHENTICATED
    await twin.call()
    assert server.resumed == [False, False, False]


async def test_a_certificate_of_a_ca_that_is_trusted_no_more_does_not(server: Server) -> None:
    """The C-core drops its tickets when it is given another configuration."""
    other = Authority.create(IDENTITIES)
    alone = server.source.current
    lists = Revocations.parse(server.authority.crl() + other.crl())
    both = replace(alone, ca_pem=alone.ca_pem + other.ca_pem, revocations=lists)
    server.source.replace(both)
    client = Client(server, other.issue(GATEWAY))
    await client.call()
    await client.call()
    server.source.replace(alone)
    assert await refused(client) is grpc.StatusCode.UNAVAILABLE
    assert server.resumed == [False, True]


def connect(
    context: ssl.SSLContext, gateway: Service, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession | None]:
    """Make a request, with a session if there is one; return whether it was resumed, and its own.

    A ticket comes after the handshake, so it would be there when something has been read.
    """
    host, _, port = gateway.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 30) as plain,
        context.wrap_socket(plain, server_hostname=host, session=session) as connection,
    ):
        connection.sendall(b"GET /videos HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        return bool(connection.session_reused), connection.session


def test_the_gateway_gives_nobody_a_session_to_resume(
    running: tuple[Stack, Service, Service],
) -> None:
    stack, _, gateway = running
    issued = stack.authority.issue(identity_named("client/uploader"))
    context = tls_context(stack.authority.ca_pem, Impostor("client", issued))
    _, session = connect(context, gateway, None)
    assert session
    assert not session.has_ticket
    reused, _ = connect(context, gateway, session)
    assert not reused
