"""A client that shows no certificate is refused in the handshake."""

from impostors import Impostor
from tests.mtls.servers import Server


async def test_refuses_client_without_certificate(server: Server) -> None:
    await server.serves(server.authority.issue(server.client))
    await server.refuses(Impostor("no certificate", None), reason="no_certificate")
