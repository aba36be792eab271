"""The same services over TLS that asks for no client certificate, and over no TLS at all.

This is the one place of the repository, next to the impostors, where verification is left out: to
have something to compare with. tests/unit/test_no_insecure_switch.py knows it by name.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls.address import Address
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.pem_pipe import readable

import grpc
import grpc.aio

from benchmarks.variants.parts import know_the_peer, replace

CHOICES: Final = ("mtls", "tls", "plain")


def use(transport: str, service: str) -> None:
    """Change the transport of the service that is about to start."""
    know_the_peer(service)
    _CHANGES[transport, service]()


def _gateway_with_tls() -> None:
    def server_context(identity: Identity, **_: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # verify_mode is CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        with readable(identity.chain_pem) as chain, readable(identity.key_pem) as key:
            context.load_cert_chain(chain, key)
        context.set_alpn_protocols(("http/1.1",))
        return context

    replace("mtls.http_listener", "server_context", server_context)


def _queue_with_tls() -> None:
    def server_credentials(source: IdentitySource) -> grpc.ServerCredentials:
        identity = source.current
        return grpc.ssl_server_credentials([(identity.key_pem, identity.chain_pem)])

    replace("video_queue.server", "server_credentials", server_credentials)


def _plain_gateway() -> None:
    @asynccontextmanager
    async def listening(
        address: Address,
        _source: IdentitySource,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        _limits: Any,
    ) -> AsyncIterator[Address]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(new_protocol, address.host, address.port)
        try:
            yield Address(address.host, server.sockets[0].getsockname()[1])
        finally:
            server.close()

    def secure_channel(address: str, _credentials: Any, options: Any) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(address, options=options)

    replace("gateway.server", "listening", listening)
    replace("grpc.aio", "secure_channel", secure_channel)


def _plain_queue() -> None:
    server = "grpc.aio._server"

    class PlainServer(__import__(server, fromlist=["Server"]).Server):  # type: ignore[misc]
        def add_secure_port(self, address: str, _credentials: Any) -> int:
            return int(self.add_insecure_port(address))

    replace(server, "Server", PlainServer)


_CHANGES: Final = {
    ("tls", "gateway"): _gateway_with_tls,
    ("tls", "video_queue"): _queue_with_tls,
    ("plain", "gateway"): _plain_gateway,
    ("plain", "video_queue"): _plain_queue,
}
