"""Certificates change, and nobody notices: no request fails, and nothing is started again."""

from collections.abc import Mapping
from typing import Final

import pytest

from demo_identities import IDENTITIES
from impostors import Impostor
from local_stack import Event
from pki.identities import CLIENT, SERVER, Identity
from pki.identity_folder import read_identity
from pki.rollover_state import Stage
from pki.signing import common_name
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


MAILER: Final = Identity(
    IDENTITIES.trust_domain, "mailer", (SERVER, CLIENT), "sends mail", ("mailer",)
)


def trouble(rotating: Rotating, since: Mapping[str, int]) -> list[tuple[str, Event]]:
    """Return what the services have written down of that kind since then."""
    return [
        (name, event)
        for name, service in rotating.services.items()
        for event in service.log.events(since[name])
        if event["event"] in TROUBLE
    ]


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
    assert trouble(rotating, since) == []


async def test_a_new_issuing_ca_loses_no_request(rotating: Rotating) -> None:
    """A row with DNS names is added; leaves move over at their renewal, and the old CA goes."""
    root, since = rotating.authority.root, rotating.positions()
    async with steady_load(rotating.stack, rotating.gateway) as load:
        await load.more()
        await rotating.add(MAILER)
        await load.more()
        assert rotating.authority.generation > 1
        await rotating.rotate()
        await load.more()
        await rotating.forget_old_issuing_ca()
        await load.more()
    assert rotating.authority.root == root
    issuers = {
        common_name(read_identity(rotating.stack.certs / name).chain[1])
        for name in (*rotating.services, MAILER.name)
    }
    assert issuers == {common_name(rotating.authority.issuing.certificate)}
    assert load.failed == []
    assert trouble(rotating, since) == []


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
