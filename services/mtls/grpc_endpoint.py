"""gRPC credentials: who may call us, and whom we call. TLS 1.3 only: see mtls/__init__.py.

The C-core checks a server's name against its subjectAltName and, if there is none, against the
common name; it cannot be told otherwise. Our issuing CA makes no certificate without names.
"""

from mtls.identity import Identity

import grpc


def server_credentials(identity: Identity) -> grpc.ServerCredentials:
    """Return credentials that show `identity` and let in only clients of its CA."""
    return grpc.ssl_server_credentials(
        [(identity.key_pem, identity.chain_pem)],
        root_certificates=identity.ca_pem,
        require_client_auth=True,
    )


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Return credentials that show `identity` and accept only servers of its CA, by DNS name."""
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )
