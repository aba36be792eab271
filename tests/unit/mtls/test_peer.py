"""A peer is one certificate, for a client; both stacks ask for it in the same way."""

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mtls.peer import Peer, PeerError, peer_of_call, peer_of_request

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from demo_identities import IDENTITIES, identity_named
from pki.authority import Authority, Issued
from pki.identities import CLIENT, SERVER


class Call:
    """What is asked of a gRPC call."""

    def __init__(self, *certificates: bytes) -> None:
        self._context = {"x509_pem_cert": certificates} if certificates else {}

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._context


class Request:
    """What is asked of an HTTP request, and of its TLS connection."""

    def __init__(self, certificate: bytes | None) -> None:
        self._certificate = certificate

    def get_extra_info(self, name: str) -> "Request":
        assert name == "ssl_object"
        return self

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._certificate


def over_grpc(*issued: Issued) -> Peer:
    certificates = (each.certificate.public_bytes(Encoding.PEM) for each in issued)
    return peer_of_call(cast("Any", Call(*certificates)))


def over_http(*issued: Issued) -> Peer:
    certificates = [each.certificate.public_bytes(Encoding.DER) for each in issued]
    return peer_of_request(cast("Any", Request(certificates[0] if certificates else None)))


BOTH = pytest.mark.parametrize("peer_of", [over_grpc, over_http])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(IDENTITIES)


@BOTH
def test_a_peer_is_named_by_its_certificate(authority: Authority, peer_of: Any) -> None:
    assert peer_of(authority.issue(identity_named("client/viewer"))).name == "client/viewer"


@BOTH
@pytest.mark.parametrize("ekus", [[SERVER], []])
def test_one_that_is_not_a_clients_is_no_peer(
    authority: Authority, peer_of: Any, ekus: list[Any]
) -> None:
    """TLS lets one pass that does not say what it is for."""
    identity = identity_named("client/viewer")
    assert peer_of(authority.issue(identity, ekus=[CLIENT])).name == "client/viewer"
    with pytest.raises(PeerError, match="extended key usage"):
        peer_of(authority.issue(identity, ekus=ekus))


@BOTH
def test_without_a_certificate_there_is_no_peer(peer_of: Any) -> None:
    with pytest.raises(PeerError, match="without a client certificate"):
        peer_of()


def test_of_two_certificates_none_is_chosen(authority: Authority) -> None:
    issued = [authority.issue(identity_named(name)) for name in ("gateway", "transcoder")]
    assert over_grpc(issued[0]).name == "gateway"
    with pytest.raises(PeerError):
        over_grpc(*issued)


def test_a_connection_without_tls_has_no_peer() -> None:
    class Plain:
        def get_extra_info(self, _name: str) -> ssl.SSLObject | None:
            return None

    with pytest.raises(PeerError):
        peer_of_request(cast("Any", Plain()))
