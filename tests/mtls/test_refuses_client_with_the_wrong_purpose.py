"""A server's certificate is not accepted from a client, whose own has to say clientAuth."""

from impostors import Impostor
from pki.identities import CLIENT, SERVER
from tests.mtls.servers import Server


async def test_refuses_client_with_a_server_certificate(server: Server) -> None:
    issue = server.authority.issue
    await server.serves(issue(server.client, ekus=[CLIENT]))
    await server.refuses(
        Impostor("server certificate", issue(server.client, ekus=[SERVER])), reason="wrong_purpose"
    )


async def test_denies_client_whose_certificate_does_not_say_its_purpose(server: Server) -> None:
    """TLS lets it in, since no extended key usage means any (RFC 5280, 4.2.1.12). We do not."""
    issue = server.authority.issue
    await server.serves(issue(server.client, ekus=[CLIENT]))
    await server.denies(
        Impostor("no purpose", issue(server.client, ekus=[])),
        rule="no extended key usage",
        reason="no_identity",
    )
