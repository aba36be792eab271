"""The same services over TLS that asks for no client certificate, and over no TLS at all.

This is the one place of the repository, next to the impostors, where verification is left out: to
have something to compare with. tests/unit/test_no_insecure_switch.py knows it by name.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls.address import Address
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.ssl_contexts import pem_path

import grpc
import grpc.aio
from aiohttp import web

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
        with pem_path(identity.chain_pem) as chain, pem_path(identity.key_pem) as key:
            context.load_cert_chain(chain, key)
        context.set_alpn_protocols(("http/1.1",))
        return context

    replace("mtls.http_listener", "server_context", server_context)
    replace("mtls.reporting.events", "explain_refusals", lambda *_, **__: None)


def _queue_with_tls() -> None:
    def server_credentials(source: IdentitySource) -> grpc.ServerCredentials:
        identity = source.current
        return grpc.ssl_server_credentials([(identity.key_pem, identity.chain_pem)])

    replace("mtls.grpc_server", "server_credentials", server_credentials)


def _plain_gateway() -> None:
    @asynccontextmanager
    async def listening(
        app: web.Application,
        address: Address,
        _source: IdentitySource,
        limits: Any,
        **runner_options: Any,
    ) -> AsyncIterator[Address]:
        del limits
        runner = web.AppRunner(app, access_log=None, **runner_options)
        await runner.setup()
        await web.TCPSite(runner, address.host, address.port).start()
        try:
            yield Address(address.host, runner.addresses[0][1])
        finally:
            await runner.cleanup()

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
