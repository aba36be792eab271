"""Both servers speak TLS 1.3 and nothing older, even to a client with a good certificate."""

import asyncio
import ssl
from pathlib import Path

import pytest

from pki.identity_folder import write_identity
from tests.mtls.servers import Server


@pytest.fixture
def context(server: Server, tmp_path: Path) -> ssl.SSLContext:
    write_identity(tmp_path, server.authority.issue(server.client), server.authority.ca_pem)
    context = ssl.create_default_context(cafile=tmp_path / "ca-certificate.crt")
    context.load_cert_chain(tmp_path / "key-pair.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def shake_hands(server: Server, context: ssl.SSLContext) -> str | None:
    host, _, port = server.service.address.partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    version: str | None = writer.get_extra_info("ssl_object").version()
    writer.close()
    return version


async def test_refuses_tls_1_2(server: Server, context: ssl.SSLContext) -> None:
    assert await shake_hands(server, context) == "TLSv1.3"

    since = server.service.log.position()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await shake_hands(server, context)
    event = server.service.log.wait_for(
        lambda event: event["event"] == "handshake.refused", since=since
    )
    assert event["reason"] == "protocol_version"
