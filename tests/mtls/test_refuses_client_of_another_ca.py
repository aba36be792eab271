"""A certificate counts for who signed it, not for what it says: every name can be copied."""

from demo_identities import IDENTITIES
from impostors import Impostor
from pki.authority import Authority
from tests.mtls.servers import Server


async def test_refuses_client_of_another_ca_with_the_same_names(server: Server) -> None:
    impostor = Authority.create(IDENTITIES)
    assert impostor.root.subject == server.authority.root.subject
    await server.serves(server.authority.issue(server.client))
    await server.refuses(Impostor("another CA", impostor.issue(server.client)), reason="unknown_ca")
