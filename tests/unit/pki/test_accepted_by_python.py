"""Python verifies the certificates as strictly as it can, on both sides of a real handshake."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509

from demo_identities import identity_named
from pki.authority import Authority, Issued, KeyType
from pki.identity_folder import write_identity
from tests.unit.pki.verifiers import FOREIGN_NAMES, leaf_of_gateway, shake_hands

QUEUE, GATEWAY = identity_named("video-queue"), identity_named("gateway")


def strict_context(side: int, folder: Path, issued: Issued, ca_pem: bytes) -> ssl.SSLContext:
    """The flags that are Python 3.13's default, on 3.11 too."""
    write_identity(folder, issued, ca_pem)
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(folder / "ca-certificate.crt")
    context.load_cert_chain(folder / "key-pair.pem")
    return context


def handshake(
    folder: Path, ca_pem: bytes, server: Issued, client: Issued, name: str = "video-queue"
) -> ssl.SSLObject:
    """Finish a handshake in memory and return the server's side. Raises `ssl.SSLError`."""
    server_context = strict_context(ssl.PROTOCOL_TLS_SERVER, folder / "server", server, ca_pem)
    client_context = strict_context(ssl.PROTOCOL_TLS_CLIENT, folder / "client", client, ca_pem)
    return shake_hands(server_context, client_context, name)


@pytest.mark.parametrize("name", QUEUE.dns_names)
def test_accepts_both_sides(
    tmp_path: Path, typed_authority: Authority, key_type: KeyType, name: str
) -> None:
    server = typed_authority.issue(QUEUE, key_type=key_type)
    client = typed_authority.issue(GATEWAY, key_type=key_type)
    peer = handshake(tmp_path, typed_authority.ca_pem, server, client, name).getpeercert()
    assert peer is not None
    assert ("URI", GATEWAY.uri) in peer["subjectAltName"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("gateway", "evil.test"), ("gateway", "evil-gateway"), ("localhost", "localhost.evil.test")],
)
def test_refuses_a_host_name_that_the_issuing_ca_may_not_sign(
    tmp_path: Path, authority: Authority, right: str, wrong: str
) -> None:
    server = authority.issue(QUEUE)
    accepted = authority.issue(GATEWAY, dns_names=[right])
    refused = authority.issue(GATEWAY, dns_names=[wrong])
    handshake(tmp_path, authority.ca_pem, server, accepted)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(tmp_path, authority.ca_pem, server, refused)


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_any_other_name_that_the_issuing_ca_may_not_sign(
    tmp_path: Path, authority: Authority, foreign: x509.GeneralName
) -> None:
    server = authority.issue(QUEUE)
    handshake(tmp_path, authority.ca_pem, server, leaf_of_gateway(authority))
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(tmp_path, authority.ca_pem, server, leaf_of_gateway(authority, foreign))
