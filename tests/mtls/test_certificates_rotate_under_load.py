"""Certificates change, and nobody notices: no request fails, and nothing is started again."""

from typing import Final

from pki.authority import Authority
from tests.mtls.load import steady_load
from tests.mtls.rotating import Rotating

ROTATIONS: Final = 20

# What a service writes down when something is not as it should be.
TROUBLE: Final = {
    "identity.refused",
    "identity.watch_failed",
    "connection.refused",
    "connection.failed",
    "connection.ended",
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
    old, new = rotating.authority, Authority.create()
    both = (old.ca_pem + new.ca_pem, old.crl() + new.crl())
    async with steady_load(rotating.stack, rotating.gateway) as load:
        await load.more()
        for _ in range(ROTATIONS):
            await rotating.rotate()
            await load.more()
        await rotating.rotate(*both)  # trust both,
        await load.more()
        rotating.issue_from(new)
        await rotating.rotate(*both)  # issue from the new one,
        await load.more()
        await rotating.rotate()  # trust it alone
        await load.more()
    assert load.failed == []
    for name, service in rotating.services.items():
        events = service.log.events(since[name])
        assert [event for event in events if event["event"] in TROUBLE] == [], name
