"""Certificates change, and nobody notices: no request fails, and nothing is started again."""

from typing import Final

import pytest

from impostors import Impostor
from pki.rollover_state import Stage
from tests.mtls.load import steady_load
from tests.mtls.rotating import Rotating
from tests.mtls.servers import Server, gateway_server, queue_server

ROTATIONS: Final = 20

# What a service writes down when something is not as it should be.
TROUBLE: Final = {
    "identity.refused",
    "identity.watch_failed",
    "handshake.refused",
    "connection.failed",
    "connection.closed",
    "call.denied",
    "call.failed",
    "request.failed",
    "queue.unreachable",
    "queue.call_broke_off",
    "queue.call_failed",
    "queue.refused",
    "work.lost",
    "work.given_up",
}


async def test_twenty_rotations_and_a_change_of_the_ca_lose_no_request(rotating: Rotating) -> None:
    since = rotating.positions()
    async with steady_load(rotating.stack, rotating.gateway) as load:
        await load.more()
        for _ in range(ROTATIONS):
            await rotating.rotate()
            await load.more()
        for stage in Stage:
            await rotating.change_ca(stage)
            await load.more()
    assert load.failed == []
    for name, service in rotating.services.items():
        events = service.log.events(since[name])
        assert [event for event in events if event["event"] in TROUBLE] == [], name


@pytest.mark.parametrize("name", ["video-queue", "gateway"])
async def test_after_a_change_of_the_ca_the_old_one_is_a_stranger(
    rotating: Rotating, name: str
) -> None:
    """Until the last stage its certificates are good."""

    def server() -> Server:
        if name == "gateway":
            return gateway_server(rotating.stack, rotating.gateway)
        return queue_server(rotating.stack, rotating.queue, rotating.gateway)

    client = server().client
    old, stolen = rotating.authority, rotating.authority.issue(client)
    await rotating.change_ca(Stage.TRUST)
    await server().serves(stolen)
    await rotating.change_ca(Stage.ISSUE)
    assert rotating.authority.root != old.root
    await server().serves(stolen)
    await rotating.change_ca(Stage.DROP)
    await server().refuses(Impostor("old CA", stolen), reason="unknown_ca")
    await server().serves(rotating.authority.issue(client))
