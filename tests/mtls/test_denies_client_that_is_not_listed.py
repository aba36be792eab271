"""Being genuine is not enough: a peer may do what the policy names it for, and nothing else."""

import pytest

from demo_identities import identity_named
from impostors import Impostor
from tests.mtls.servers import Server


@pytest.mark.parametrize("other", ["transcoder", "probe", "client/viewer"])
async def test_denies_client_that_is_not_listed(server: Server, other: str) -> None:
    issue = server.authority.issue
    await server.serves(issue(server.client))
    await server.denies(
        Impostor(other, issue(identity_named(other))), rule=f"allowed: {_allowed(server)}"
    )


async def test_denies_the_right_name_with_a_suffix(server: Server) -> None:
    issue, uri = server.authority.issue, server.client.uri
    await server.serves(issue(server.client, uris=[uri]))
    await server.denies(
        Impostor("suffix", issue(server.client, uris=[uri + "-2"])), rule="allowed: "
    )


def _allowed(server: Server) -> str:
    return {"gateway": "gateway", "client/uploader": "client/uploader, console"}[server.client.name]
