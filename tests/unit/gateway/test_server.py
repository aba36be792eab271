"""Connections: how many, how long, and how they end."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

from mtls import peer
from mtls.identity import Identity
from mtls.identity_source import IdentitySource
from mtls.ssl_contexts import client_context

import aiohttp
import pytest

from gateway.config import Config
from gateway.server import serving
from runtime.errors import StartError
from tests.unit.gateway.conftest import Gateway, Start
from tests.unit.gateway.fake_queue import PATIENCE_SECONDS, VIDEO_ID, FakeQueue, happened
from tests.unit.gateway.raw_client import RawClient

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"


async def nobody_listens(gateway: Gateway) -> None:
    """Return when a connection is refused."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with suppress(aiohttp.ClientConnectorError):
            while True:
                async with gateway.client() as client, client.get("/openapi.json"):
                    pass


@pytest.fixture
def config(identities: Mapping[str, Identity]) -> Config:
    return Config.from_environment(
        {
            "GATEWAY_LISTEN": "127.0.0.1:0",
            "GATEWAY_IDENTITY": str(identities["gateway"].folder),
            "GATEWAY_QUEUE": "localhost:1",  # where nobody listens
        }
    )


async def test_no_connection_more_than_allowed(start: Start) -> None:
    gateway = await start(max_connections=2)
    async with RawClient.to(gateway) as first, RawClient.to(gateway) as second:
        for client in (first, second):
            client.writer.write(HEALTH)
            assert await client.status() == 200
        with pytest.raises(ConnectionError):  # before its handshake, which would cost us a lot
            async with RawClient.to(gateway):
                pass


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (25 * 3600, 403)])
async def test_an_expired_certificate_is_denied_with_its_reason_and_without_a_challenge(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    """On a connection that was made before."""
    later = time.time() + seconds
    async with RawClient.to(gateway) as client:
        client.writer.write(HEALTH)
        assert await client.status() == 200
        await client.reader.readuntil(b"}")
        monkeypatch.setattr(peer, "time", SimpleNamespace(time=lambda: later))
        client.writer.write(HEALTH)
        head = await client.head()
        body = await client.reader.readuntil(b"}")
    assert f"HTTP/1.1 {status} " in head
    assert "WWW-Authenticate" not in head
    assert (b'"reason":"expired"' in body) is (status == 403)


async def test_a_place_that_was_left_is_free_again(start: Start) -> None:
    gateway = await start(max_connections=1)
    for _ in range(3):
        async with RawClient.to(gateway) as client:
            client.writer.write(
                b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"
            )
            assert await client.status() == 200
            await client.reader.read()


async def test_at_the_end_a_stream_of_events_is_ended_whole(
    identities: Mapping[str, Identity], start: Start, queue: FakeQueue
) -> None:
    gateway = await start(grace_seconds=60)
    async with gateway.client() as client, client.get(f"/videos/{VIDEO_ID}/events") as response:
        await response.content.readuntil(b"\n\n")
        stopping = asyncio.ensure_future(gateway.stop())
        text = await response.content.read()  # raises if the stream is cut off
        assert b"event: status" in text
    await stopping


async def test_at_the_end_a_request_may_finish(start: Start, queue: FakeQueue) -> None:
    gateway = await start(grace_seconds=60)
    queue.answering.clear()
    async with gateway.client() as client:
        request = asyncio.create_task(client.get(f"/videos/{VIDEO_ID}"))
        await happened(queue.called)
        stopping = asyncio.ensure_future(gateway.stop())
        await nobody_listens(gateway)
        queue.answering.set()
        async with await request as response:
            assert response.status == 200
    await stopping


async def test_a_client_that_goes_away_takes_its_call_along(start: Start, queue: FakeQueue) -> None:
    gateway = await start(call_seconds=3600)
    queue.answering.clear()
    async with RawClient.to(gateway) as client:
        client.writer.write(f"GET /videos/{VIDEO_ID} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        await happened(queue.called)
    assert await queue.how_it_ended() == "cut off"


async def test_a_gateway_without_queue_starts_and_says_that_it_is_not_well(
    config: Config, identities: Mapping[str, Identity]
) -> None:
    async with serving(config, IdentitySource(identities["gateway"])) as address:
        connector = aiohttp.TCPConnector(ssl=client_context(identities["probe"]))
        url = f"https://localhost:{address.port}/healthz"
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get(url) as response,
        ):
            assert response.status == 503
            assert "localhost:1" not in await response.text()


async def test_a_port_that_is_taken_is_an_error_that_says_so(
    config: Config, gateway: Gateway
) -> None:
    listen = gateway.address
    source = IdentitySource(gateway.identities["gateway"])
    with pytest.raises(StartError, match="GATEWAY_LISTEN"):
        async with serving(replace(config, listen=listen), source):
            pass


async def test_a_body_that_could_be_bombs_is_not_unpacked(gateway: Gateway) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=x"}
    async with (
        gateway.client() as client,
        client.post("/videos", data=b"x", headers=headers) as response,
    ):
        assert response.status == 415
