"""gRPC credentials: who may call us, and whom we call. TLS 1.3 only: see mtls/__init__.py.

The C-core checks a server's name against its subjectAltName and, if there is none, against the
common name; it cannot be told otherwise. Our issuing CA makes no certificate without names.
"""

from mtls.identity import Identity
from mtls.identity_source import IdentitySource

import grpc


def server_credentials(source: IdentitySource) -> grpc.ServerCredentials:
    """Return credentials that show the identity in force and let in only clients of its CA.

    After a change the C-core drops its tickets with the old configuration, so that nobody of a CA
    that is no longer trusted comes back by a resumed session.
    """
    configuration = source.derive(_configuration)
    in_use = configuration.value

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Say before each handshake whether there is something new: in a thread of the C-core."""
        nonlocal in_use
        latest = configuration.value
        if latest is in_use:
            return None
        in_use = latest
        return latest

    return grpc.dynamic_ssl_server_credentials(
        in_use,
        fetch,  # type: ignore[arg-type]  # the stubs forget that None means: as before
        require_client_authentication=True,
    )


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)], root_certificates=identity.ca_pem
    )


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Return credentials that show `identity` and accept only servers of its CA, by DNS name."""
    return grpc.ssl_channel_credentials(
        root_certificates=identity.ca_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )
