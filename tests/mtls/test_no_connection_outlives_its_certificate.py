"""A connection ends when its peer's certificate does, and is renewed long before ours does.

What is bound: a call is denied from the second on in which the caller's certificate has expired,
and one that is under way breaks off within 5 seconds. A connection is as old as its server's
MAX_CONNECTION_AGE_SECONDS says, and older only until the call has ended that is under way then.
"""

import asyncio
import datetime as dt
import http.client
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import aiohttp
import grpc.aio
import pytest
from cryptography import x509

from demo_identities import IDENTITIES, identity_named
from local_stack import Service, Stack
from pki.bootstrap import bootstrap
from pki.run import Options
from tests.mtls.open_clients import (
    list_videos,
    open_channel,
    open_session,
    under_way,
    watching_health,
)
from tests.mtls.rotating import SECONDS, Rotating, serial_of
from tests.mtls.servers import unique_title

LIFE = dt.timedelta(seconds=10)  # enough to connect, however busy the machine is
GATEWAY = identity_named("gateway")
UPLOADER = identity_named("client/uploader")


async def until_it_fails(call: Callable[[], Awaitable[object]], end: dt.datetime) -> None:
    """Call again and again; the certificate ends at `end`, and then the calls have to."""
    while dt.datetime.now(dt.UTC) < end + dt.timedelta(seconds=SECONDS):
        await call()


async def test_the_gateway_ends_a_connection_whose_certificate_expires(rotating: Rotating) -> None:
    since = rotating.gateway.log.position()
    end = dt.datetime.now(dt.UTC) + LIFE
    expires = rotating.authority.issue(UPLOADER, not_after=end)
    twin = rotating.authority.issue(UPLOADER)
    go_on, title = asyncio.Event(), unique_title()
    opened = partial(open_session, rotating.stack, rotating.gateway)
    async with opened(expires) as short, opened(twin) as long:
        uploads = [
            asyncio.create_task(under_way(each.session, title, go_on)) for each in (short, long)
        ]
        await long.titles()
        with pytest.raises(aiohttp.ClientError):
            await until_it_fails(short.titles, end)
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(uploads[0], SECONDS)
        ended = {"event": "connection.closed", "reason": "expired"}
        await rotating.said("gateway", ended, since=since)
        go_on.set()
        assert await asyncio.wait_for(uploads[1], SECONDS) == 201
        await long.titles()
        assert long.connections == 2


async def test_the_queue_ends_calls_whose_certificate_expires(rotating: Rotating) -> None:
    end = dt.datetime.now(dt.UTC) + LIFE
    expires = rotating.authority.issue(GATEWAY, not_after=end)
    twin = rotating.authority.issue(GATEWAY)
    opened = partial(open_channel, rotating.stack, rotating.queue)
    async with opened(expires) as short, opened(twin) as long:
        watches = [await watching_health(channel) for channel in (short, long)]
        with pytest.raises(grpc.aio.AioRpcError, match="has expired") as denied:
            await until_it_fails(partial(list_videos, short), end)
        assert denied.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError, match="has expired") as cut_off:
            await asyncio.wait_for(watches[0].read(), SECONDS)
        assert cut_off.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await list_videos(long)
        assert not watches[1].done()
        watches[1].cancel()


async def test_connections_of_age_are_made_anew_and_no_request_is_lost(tmp_path: Path) -> None:
    """Not even the upload that is under way, through two connections that both come of age."""
    stack = Stack(tmp_path)
    stack.write_certificates()
    with (
        stack.start_queue(VIDEO_QUEUE_MAX_CONNECTION_AGE_SECONDS="1") as queue,
        stack.start_gateway(queue.address, GATEWAY_MAX_CONNECTION_AGE_SECONDS="1") as gateway,
    ):
        go_on = asyncio.Event()
        uploader = stack.authority.issue(UPLOADER)
        async with (
            open_session(stack, gateway, uploader) as client,
            open_channel(stack, queue, stack.authority.issue(GATEWAY)) as channel,
        ):
            upload = asyncio.create_task(under_way(client.session, "old", go_on))
            await asyncio.to_thread(ask_until_renewed, stack, gateway)
            await list_videos(channel)
            ready = grpc.ChannelConnectivity.READY
            await asyncio.wait_for(channel.wait_for_state_change(ready), SECONDS)
            go_on.set()
            assert await asyncio.wait_for(upload, SECONDS) == 201


def ask_until_renewed(stack: Stack, gateway: Service) -> None:
    """Make requests over one connection, renew the gateway's certificate, and go on until the
    connection is another, which shows it."""
    identity = load_identity(stack.certs / "client/viewer", roles=frozenset({Role.CLIENT}))
    host, _, port = gateway.address.rpartition(":")
    client = http.client.HTTPSConnection(
        host, int(port), context=client_context(identity), timeout=SECONDS
    )

    def ask() -> str:
        client.request("GET", "/videos")
        certificate = client.sock.getpeercert(binary_form=True)
        assert certificate
        response = client.getresponse()
        assert response.status == 200
        response.read()
        return serial_of(x509.load_der_x509_certificate(certificate))

    first = ask()
    bootstrap(stack.certs, Options(IDENTITIES, again=True))
    renewed = load_identity(stack.certs / "gateway", roles=frozenset())
    deadline = time.monotonic() + SECONDS
    while (shown := ask()) == first and time.monotonic() < deadline:
        pass
    assert shown == renewed.serial
    client.close()
