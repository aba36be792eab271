"""There is no way in without TLS."""

from impostors import Impostor
from tests.mtls.servers import Server


async def test_refuses_plaintext(server: Server) -> None:
    await server.serves(server.authority.issue(server.client))
    await server.refuses(Impostor("plaintext", None, speaks_tls=False), reason="plaintext")
