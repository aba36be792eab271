"""gRPC's own TLS library (BoringSSL) accepts the certificates, on both sides of a real call."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from cryptography import x509

from demo_identities import identity_named
from pki.authority import Authority, Issued, KeyType
from tests.unit.pki.programs import SECONDS
from tests.unit.pki.verifiers import FOREIGN_NAMES, leaf_of_gateway

QUEUE, GATEWAY = identity_named("video-queue"), identity_named("gateway")


@dataclass
class Server:
    """Answers every call with the names in the caller's certificate, and keeps the answers."""

    address: str = ""
    answers: list[bytes] = field(default_factory=list)

    def who_am_i(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        self.answers.append(b",".join(context.peer_identities() or []))
        return self.answers[-1]


@contextmanager
def serving(issued: Issued, ca_pem: bytes) -> Iterator[Server]:
    running = Server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        running.who_am_i
    )
    credentials = grpc.ssl_server_credentials(
        [(issued.key_pem, issued.chain_pem)], ca_pem, require_client_auth=True
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("test.Peer", {"WhoAmI": handler})]
    )
    running.address = f"localhost:{server.add_secure_port('localhost:0', credentials)}"
    server.start()
    try:
        yield running
    finally:
        assert server.stop(grace=None).wait(SECONDS)


def call(address: str, issued: Issued, ca_pem: bytes) -> bytes:
    credentials = grpc.ssl_channel_credentials(ca_pem, issued.key_pem, issued.chain_pem)
    with grpc.secure_channel(address, credentials) as channel:
        method: Callable[..., bytes] = channel.unary_unary("/test.Peer/WhoAmI")
        return method(b"", timeout=SECONDS)


def test_accepts_both_sides(typed_authority: Authority, key_type: KeyType) -> None:
    ca_pem = typed_authority.ca_pem
    with serving(typed_authority.issue(QUEUE, key_type=key_type), ca_pem) as server:
        answer = call(server.address, typed_authority.issue(GATEWAY, key_type=key_type), ca_pem)
    assert answer.split(b",") == [GATEWAY.uri.encode(), *map(str.encode, GATEWAY.dns_names)]


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    authority: Authority, foreign: x509.GeneralName
) -> None:
    """BoringSSL enforces the constraints too; the reasons are read in the tests beside this one."""
    accepted, refused = leaf_of_gateway(authority), leaf_of_gateway(authority, foreign)
    with serving(authority.issue(QUEUE), authority.ca_pem) as server:
        with pytest.raises(grpc.RpcError) as caught:
            call(server.address, refused, authority.ca_pem)
        assert server.answers == []
        call(server.address, accepted, authority.ca_pem)
        assert len(server.answers) == 1
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
