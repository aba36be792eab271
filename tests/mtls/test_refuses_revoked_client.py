"""A certificate that was revoked counts no longer, however long it is valid yet.

The gateway refuses it in the handshake, where OpenSSL looks into the revocation list. grpcio cannot
be given one, so the video queue answers UNAUTHENTICATED to every call. Connections that are open
at that time end, and calls that are under way break off.
"""

import asyncio
from functools import partial

import aiohttp
import grpc.aio
import pytest

from demo_identities import identity_named
from impostors import Impostor
from pki.authority import Issued
from tests.mtls.open_clients import (
    WATCH_HEALTH,
    list_videos,
    open_channel,
    open_session,
    under_way,
    watching_health,
)
from tests.mtls.rotating import SECONDS, Rotating
from tests.mtls.servers import gateway_server, queue_server, unique_title

UPLOADER = identity_named("client/uploader")
GATEWAY = identity_named("gateway")


async def revoke(rotating: Rotating, name: str, issued: Issued) -> None:
    """Return when the service knows of it."""
    since = rotating.positions()
    rotating.publish(name, issued.certificate.serial_number)
    await rotating.said(name, {"event": "identity.renewed", "revoked": 1}, since=since[name])


async def test_the_gateway_refuses_it_in_the_handshake(rotating: Rotating) -> None:
    server = gateway_server(rotating.stack, rotating.gateway)
    lost, twin = (server.authority.issue(UPLOADER) for _ in range(2))
    await server.serves(lost)
    await revoke(rotating, "gateway", lost)
    await server.refuses(Impostor("revoked", lost), reason="revoked")
    await server.serves(twin)


async def test_the_queue_denies_its_calls(rotating: Rotating) -> None:
    server = queue_server(rotating.stack, rotating.queue, rotating.gateway)
    lost, twin = (server.authority.issue(GATEWAY) for _ in range(2))
    await server.serves(lost)
    await revoke(rotating, "video-queue", lost)
    await server.denies(Impostor("revoked", lost), rule="was revoked", reason="revoked")
    await server.serves(twin)


async def test_its_open_connections_to_the_gateway_end(rotating: Rotating) -> None:
    lost, twin = (rotating.authority.issue(UPLOADER) for _ in range(2))
    go_on, title = asyncio.Event(), unique_title()
    opened = partial(open_session, rotating.stack, rotating.gateway)
    async with opened(lost) as thief, opened(twin) as owner:
        uploads = [
            asyncio.create_task(under_way(each.session, title + whose, go_on))
            for each, whose in ((thief, " thief"), (owner, " owner"))
        ]
        await thief.titles()
        await owner.titles()

        since = rotating.gateway.log.position()
        await revoke(rotating, "gateway", lost)
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(uploads[0], SECONDS)
        ended = {"event": "connection.closed", "reason": "revoked"}
        await rotating.said("gateway", ended, since=since)
        with pytest.raises(aiohttp.ClientError):
            await thief.titles()

        go_on.set()
        assert await asyncio.wait_for(uploads[1], SECONDS) == 201
        titles = await owner.titles()
        assert owner.connections == 2
    assert title + " owner" in titles
    assert title + " thief" not in titles


async def test_its_calls_on_open_connections_to_the_queue_end(rotating: Rotating) -> None:
    lost, twin = (rotating.authority.issue(GATEWAY) for _ in range(2))
    opened = partial(open_channel, rotating.stack, rotating.queue)
    async with opened(lost) as thief, opened(twin) as owner:
        watches = [await watching_health(channel) for channel in (thief, owner)]
        await list_videos(thief)
        await list_videos(owner)

        since = rotating.queue.log.position()
        await revoke(rotating, "video-queue", lost)
        with pytest.raises(grpc.aio.AioRpcError, match="was revoked") as cut_off:
            await asyncio.wait_for(watches[0].read(), SECONDS)
        assert cut_off.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await rotating.said(
            "video-queue",
            {"event": "call.denied", "reason": "revoked", "method": WATCH_HEALTH},
            since=since,
        )
        with pytest.raises(grpc.aio.AioRpcError, match="was revoked") as denied:
            await list_videos(thief)
        assert denied.value.code() is grpc.StatusCode.UNAUTHENTICATED

        await list_videos(owner)
        assert not watches[1].done()
        watches[1].cancel()
