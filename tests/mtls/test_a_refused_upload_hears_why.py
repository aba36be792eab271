"""A client that uploads learns why it is refused, however much it has to send."""

import datetime as dt

from demo_identities import identity_named
from impostors import Impostor, upload_over_http
from local_stack import Service, Stack
from tests.mtls.servers import ALERTS, gateway_server, unique_title

HOUR = dt.timedelta(hours=1)
CONTENT = bytes(8 * 1024 * 1024)  # more than is under way when the alert comes


async def test_a_large_upload_hears_the_alert(running: tuple[Stack, Service, Service]) -> None:
    stack, _, gateway = running
    now, issue = dt.datetime.now(dt.UTC), stack.authority.issue
    uploader = identity_named("client/uploader")

    def attempt(name: str, not_after: dt.datetime) -> Impostor:
        return Impostor(name, issue(uploader, not_before=now - 2 * HOUR, not_after=not_after))

    server, (stored, lost) = gateway_server(stack, gateway), (unique_title(), unique_title())
    address, ca_pem = gateway.address, stack.authority.ca_pem
    honest = attempt("honest", now + HOUR)
    outcome = await upload_over_http(address, ca_pem, honest, stored, CONTENT)
    assert outcome.accepted, outcome.words

    since = gateway.log.position()
    expired = attempt("expired", now - HOUR)
    refused = await upload_over_http(address, ca_pem, expired, lost, CONTENT)
    assert ALERTS["expired"] in refused.words
    gateway.log.wait_for(lambda event: event.get("reason") == "expired", since=since)
    assert {stored, lost} & await server.stored_titles() == {stored}
