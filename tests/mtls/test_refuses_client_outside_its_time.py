"""A certificate is refused before it begins and after it has ended."""

import datetime as dt

from impostors import Impostor
from tests.mtls.servers import Server

HOUR = dt.timedelta(hours=1)


async def test_refuses_client_whose_certificate_has_expired(server: Server) -> None:
    now = dt.datetime.now(dt.UTC)
    begin = now - 2 * HOUR
    issue = server.authority.issue
    await server.serves(issue(server.client, not_before=begin, not_after=now + HOUR))
    expired = issue(server.client, not_before=begin, not_after=now - HOUR)
    await server.refuses(Impostor("expired", expired), reason="expired")


async def test_refuses_client_whose_certificate_is_not_yet_valid(server: Server) -> None:
    now = dt.datetime.now(dt.UTC)
    end = now + 2 * HOUR
    issue = server.authority.issue
    await server.serves(issue(server.client, not_before=now - HOUR, not_after=end))
    too_early = issue(server.client, not_before=now + HOUR, not_after=end)
    await server.refuses(Impostor("not yet valid", too_early), reason="not_yet_valid")
