"""A channel whose certificate changes: calls move over when the new one stands, none is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtls.address import Address
from mtls.certificates import Role
from mtls.grpc_client import mtls_channel
from mtls.grpc_server import server_credentials
from mtls.identity import Identity, load_identity
from mtls.identity_source import IdentitySource

import grpc.aio
import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority
from pki.identity_folder import write_identity

SERIAL = "/my.v1.Service/Serial"
ECHO = "/my.v1.Service/Echo"


class Peers:
    """A server that answers with the serial number of its caller, and streams back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.create(IDENTITIES)
        self.source = IdentitySource(self.identity("video-queue"))
        self.address = Address("localhost", 0)

    def identity(self, name: str, authority: Authority | None = None) -> Identity:
        """Issue an identity, by another CA if one is given; it trusts our own besides."""
        authority = authority or self.authority
        issued, folder = authority.issue(identity_named(name)), self.folder / name
        write_identity(folder, issued, authority.ca_pem)
        roles = frozenset({Role.SERVER} if name == "video-queue" else {Role.CLIENT})
        identity = load_identity(folder, roles=roles)
        return replace(identity, ca_pem=authority.ca_pem + self.authority.ca_pem)

    async def serve(self) -> grpc.aio.Server:
        server = grpc.aio.server()
        handlers: dict[str, Any] = {
            "Serial": grpc.unary_unary_rpc_method_handler(self._serial),
            "Echo": grpc.stream_stream_rpc_method_handler(self._echo),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("my.v1.Service", handlers),)
        )
        port = server.add_secure_port("127.0.0.1:0", server_credentials(self.source))
        self.address = Address("localhost", port)
        await server.start()
        return server

    async def _serial(self, _request: bytes, context: Any) -> bytes:
        (pem,) = context.auth_context()["x509_pem_cert"]
        return f"{x509.load_pem_x509_certificate(pem).serial_number:x}".encode()

    async def _echo(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    peers = Peers(tmp_path)
    server = await peers.serve()
    yield peers
    await server.stop(None)


async def until_it_calls_as(channel: grpc.aio.Channel, identity: Identity) -> None:
    """Call until the server sees this identity; a call that fails raises."""
    call: Any = channel.unary_unary(SERIAL)
    async with asyncio.timeout(30):
        while (await call(b"")).decode() != identity.serial:
            pass


async def move_with_a_call_under_way(
    peers: Peers, source: IdentitySource, channel: grpc.aio.Channel
) -> tuple[grpc.aio.Channel, Any]:
    """Begin a call, change the identity, and return the old channel and the call, both alive."""
    echo: Any = channel.stream_stream(ECHO)
    call = echo()
    await call.write(b"x")
    await call.read()
    old: grpc.aio.Channel = channel.generation.channel  # type: ignore[attr-defined]
    source.replace(peers.identity("gateway"))
    await until_it_calls_as(channel, source.current)
    assert old.get_state() is grpc.ChannelConnectivity.READY
    return old, call


async def test_a_proxy_in_the_environment_is_passed_by(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        await until_it_calls_as(channel, source.current)


async def test_calls_move_over_and_those_under_way_go_on(peers: Peers) -> None:
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        await until_it_calls_as(channel, source.current)
        echo: Any = channel.stream_stream(ECHO)
        call = echo()
        for number in range(5):
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
            source.replace(peers.identity("gateway"))
            await until_it_calls_as(channel, source.current)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_the_old_channel_is_closed_when_its_last_call_has_ended(peers: Peers) -> None:
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        old, call = await move_with_a_call_under_way(peers, source, channel)
        await call.done_writing()
        async with asyncio.timeout(30):
            await call.read()
            await asyncio.gather(*channel._draining)  # type: ignore[attr-defined]  # noqa: SLF001
        assert old.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_at_the_end_the_old_channel_is_closed_too(peers: Peers) -> None:
    """A call that is under way does not keep it open."""
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        old, _ = await move_with_a_call_under_way(peers, source, channel)
    assert old.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_the_old_certificate_is_used_until_the_server_takes_the_new(peers: Peers) -> None:
    """As when a CA is changed in the wrong order."""
    other = Authority.create(IDENTITIES)
    source = IdentitySource(peers.identity("gateway"))
    old = source.current
    async with mtls_channel(peers.address, source) as channel:
        await until_it_calls_as(channel, old)
        source.replace(peers.identity("gateway", other))
        for _ in range(100):
            await until_it_calls_as(channel, old)
        trusting = replace(peers.source.current, ca_pem=peers.authority.ca_pem + other.ca_pem)
        peers.source.replace(trusting)
        await until_it_calls_as(channel, source.current)


async def test_only_the_newest_certificate_is_waited_for(peers: Peers) -> None:
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        source.replace(
            peers.identity("gateway", Authority.create(IDENTITIES))
        )  # the server takes no such
        source.replace(peers.identity("gateway"))
        await until_it_calls_as(channel, source.current)


async def test_new_revocation_lists_make_no_new_channel(peers: Peers) -> None:
    """It could do nothing with them."""
    source = IdentitySource(peers.identity("gateway"))
    async with mtls_channel(peers.address, source) as channel:
        before = channel.generation  # type: ignore[attr-defined]
        source.replace(replace(source.current, revocations=None, folder=Path("elsewhere")))
        await until_it_calls_as(channel, source.current)
        assert channel.generation is before  # type: ignore[attr-defined]
