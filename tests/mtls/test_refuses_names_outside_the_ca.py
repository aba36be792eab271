"""Neither a name that the issuing CA may not sign is let in, nor another trust domain's."""

from impostors import Impostor
from tests.mtls.servers import Server


async def test_denies_client_of_another_trust_domain(server: Server) -> None:
    issue = server.authority.issue
    ours, theirs = server.client.uri, server.client.uri.replace("video-demo.test", "evil.test")
    await server.serves(issue(server.client, uris=[ours]))
    await server.denies(
        Impostor("another trust domain", issue(server.client, uris=[theirs])),
        rule="only peers of video-demo.test are served",
    )


async def test_refuses_client_with_a_foreign_dns_name(server: Server) -> None:
    issue = server.authority.issue
    await server.serves(issue(server.client, dns_names=["localhost"]))
    await server.refuses(
        Impostor("foreign DNS name", issue(server.client, dns_names=["evil.test"])),
        reason="name_not_permitted",
    )
