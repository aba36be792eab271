"""A peer is exactly one SPIFFE ID: neither none, nor two, nor a common name."""

from impostors import Impostor
from tests.mtls.servers import Server


async def test_denies_client_with_two_identities(server: Server) -> None:
    issue, uri = server.authority.issue, server.client.uri
    await server.serves(issue(server.client, uris=[uri]))
    both = issue(server.client, uris=[uri, "spiffe://video-demo.test/probe"])
    await server.denies(Impostor("two identities", both), rule="2 URI names", reason="no_identity")


async def test_denies_client_without_an_identity(server: Server) -> None:
    issue, uri = server.authority.issue, server.client.uri
    await server.serves(issue(server.client, uris=[uri], dns_names=["localhost"]))
    nobody = issue(server.client, uris=[], dns_names=["localhost"])
    await server.denies(Impostor("no identity", nobody), rule="0 URI names", reason="no_identity")


async def test_rejects_client_known_by_its_common_name_only(server: Server) -> None:
    issue, uri = server.authority.issue, server.client.uri
    await server.serves(issue(server.client, uris=[uri], dns_names=[]))
    nameless = issue(server.client, uris=[], dns_names=[])
    assert server.client.name in nameless.certificate.subject.rfc4514_string()
    impostor = Impostor("common name only", nameless)
    if server.sends_alerts:
        await server.denies(impostor, rule="no subjectAltName", reason="no_identity")
    else:  # BoringSSL: a CA with name constraints vouches for no certificate without names
        await server.refuses(impostor, reason="name_not_permitted")


async def test_denies_client_whose_uri_is_no_spiffe_id(server: Server) -> None:
    issue, uri = server.authority.issue, server.client.uri
    await server.serves(issue(server.client, uris=[uri]))
    https = issue(server.client, uris=[uri.replace("spiffe:", "https:")])
    await server.denies(
        Impostor("no SPIFFE ID", https), rule="begins with spiffe://", reason="no_identity"
    )
