"""cryptography's own verifier, which follows the web's rules (CABF), accepts the certificates."""

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from demo_identities import identity_named
from pki.authority import Authority, Issued, KeyType
from tests.unit.pki.verifiers import FOREIGN_NAMES, leaf_of_gateway


def verify_server(authority: Authority, issued: Issued) -> None:
    policy = PolicyBuilder().store(Store([authority.root]))
    links = [authority.issuing.certificate]
    policy.build_server_verifier(x509.DNSName("gateway")).verify(issued.certificate, links)


def test_accepts_a_server_and_a_client(typed_authority: Authority, key_type: KeyType) -> None:
    verify_server(
        typed_authority, typed_authority.issue(identity_named("gateway"), key_type=key_type)
    )
    viewer = typed_authority.issue(identity_named("client/viewer"), key_type=key_type)
    policy = PolicyBuilder().store(Store([typed_authority.root]))
    verified = policy.build_client_verifier().verify(
        viewer.certificate, [typed_authority.issuing.certificate]
    )
    uri = x509.UniformResourceIdentifier(identity_named("client/viewer").uri)
    assert verified.subjects == [uri]


@pytest.mark.parametrize("foreign", FOREIGN_NAMES.values(), ids=FOREIGN_NAMES)
def test_refuses_a_name_that_the_issuing_ca_may_not_sign(
    authority: Authority, foreign: x509.GeneralName
) -> None:
    verify_server(authority, leaf_of_gateway(authority))
    with pytest.raises(VerificationError, match="name constraint"):
        verify_server(authority, leaf_of_gateway(authority, foreign))
