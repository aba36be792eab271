"""When nobody has renewed for too long, or a clock has jumped by a day, all certificates are over.

Then nothing works, and every service says why. Once they are renewed everything works again: by
itself, with nothing started anew, and with all that was acknowledged before.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import aiohttp

from demo_identities import IDENTITIES, identity_named
from pki.bootstrap import bootstrap
from pki.run import Options
from tests.mtls.load import steady_load
from tests.mtls.open_clients import OpenSession, open_session, under_way
from tests.mtls.rotating import SECONDS, Rotating
from tests.mtls.servers import unique_title

LIFE: Final = dt.timedelta(seconds=8)  # time enough for a busy machine to take them over


async def test_they_recover_by_themselves(rotating: Rotating) -> None:
    since, title = rotating.positions(), unique_title()
    uploader = rotating.authority.issue(identity_named("client/uploader"))
    opened = partial(open_session, rotating.stack, rotating.gateway, uploader)
    async with opened() as client:
        stored = asyncio.Event()
        stored.set()
        assert await under_way(client.session, title, stored) == 201
        end = dt.datetime.now(dt.UTC) + LIFE
        for name in rotating.services:
            rotating.write(name, rotating.authority.issue(identity_named(name), not_after=end))
        # The connection to the gateway is open; it is the gateway's own certificate that is over.
        await until(lambda: status_of(client), 503)
    for name in rotating.services:
        refused = await rotating.said(name, {"event": "identity.refused"}, since=since[name])
        assert "expired at" in refused["error"]
    denied = {"event": "call.denied", "reason": "expired"}
    await rotating.said("video-queue", denied, since=since["video-queue"])
    async with opened() as stranger:
        assert "CERTIFICATE_VERIFY_FAILED" in await words_of(stranger)

    await asyncio.to_thread(bootstrap, rotating.stack.certs, Options(IDENTITIES))
    async with opened() as client:
        await until(lambda: status_of(client), 200)
        assert title in await client.titles()
    async with steady_load(rotating.stack, rotating.gateway) as load:
        await load.more()
    assert load.failed == []


async def until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask until the answer is the one that is wanted."""
    async with asyncio.timeout(SECONDS):
        while await ask() != wanted:  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.05)


async def status_of(client: OpenSession) -> int | None:
    try:
        async with client.session.get("/videos") as response:
            return response.status
    except aiohttp.ClientError:
        return None


async def words_of(client: OpenSession) -> str:
    try:
        async with client.session.get("/videos"):
            return "served"
    except aiohttp.ClientError as error:
        return str(error)
