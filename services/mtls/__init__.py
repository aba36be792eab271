"""Mutual TLS for gRPC and aiohttp services; importing it limits gRPC to TLS 1.3, in this process.

    who am I        watch_identity, Role, IdentitySource, IdentityError
    gRPC server     add_mtls_port, authorize_calls, peer_of
    gRPC client     mtls_channel
    HTTP server     protect, listening, ConnectionLimits, PEER
    HTTP client     session.get(url, ssl=identity.client_context)
    who is it       Peer, PeerError, SpiffeId
    what happens    Observer; mtls.reporting has one that logs and counts

What needs grpc or aiohttp is imported when it is first asked for, so that a gRPC service does
without aiohttp, and an HTTP service without grpc.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

# gRPC's C-core has no setting for the lowest TLS version and would take 1.2. It has one for the
# cipher suites of TLS 1.2 (those of 1.3 cannot be taken away), so TLS 1.2 is left with a single
# suite, which needs a pre-shared key. Nobody has one, so no handshake below TLS 1.3 succeeds.
# The C-core reads the variable once, when grpc is imported, so this package has to come first.
_VARIABLE, _TLS_1_3_ONLY = "GRPC_SSL_CIPHER_SUITES", "ECDHE-PSK-AES128-CBC-SHA"

if "grpc" in sys.modules and os.environ.get(_VARIABLE) != _TLS_1_3_ONLY:
    raise ImportError("Import mtls before grpc: only then is gRPC limited to TLS 1.3.")
os.environ[_VARIABLE] = _TLS_1_3_ONLY

from mtls.address import Address  # noqa: E402  the variable comes first
from mtls.certificates import Role  # noqa: E402
from mtls.connection_limiter import ConnectionLimits  # noqa: E402
from mtls.errors import ListenError, MtlsError  # noqa: E402
from mtls.identity import Identity, IdentityError  # noqa: E402
from mtls.identity_source import IdentitySource, watch_identity  # noqa: E402
from mtls.observer import Observer  # noqa: E402
from mtls.peer import NoLongerValid, Peer, PeerError  # noqa: E402
from mtls.policy import Allowed, Denied  # noqa: E402
from mtls.spiffe import SpiffeId  # noqa: E402

if TYPE_CHECKING:
    from mtls.grpc_client import mtls_channel
    from mtls.grpc_server import add_mtls_port, authorize_calls, peer_of
    from mtls.http_server import PEER, listening, protect

_ON_DEMAND: Final = {
    "mtls_channel": "mtls.grpc_client",
    "add_mtls_port": "mtls.grpc_server",
    "authorize_calls": "mtls.grpc_server",
    "peer_of": "mtls.grpc_server",
    "PEER": "mtls.http_server",
    "listening": "mtls.http_server",
    "protect": "mtls.http_server",
}

__all__ = [
    "PEER",
    "Address",
    "Allowed",
    "ConnectionLimits",
    "Denied",
    "Identity",
    "IdentityError",
    "IdentitySource",
    "ListenError",
    "MtlsError",
    "NoLongerValid",
    "Observer",
    "Peer",
    "PeerError",
    "Role",
    "SpiffeId",
    "add_mtls_port",
    "authorize_calls",
    "listening",
    "mtls_channel",
    "peer_of",
    "protect",
    "watch_identity",
]


def __getattr__(name: str) -> Any:
    """Import what needs grpc or aiohttp (PEP 562)."""
    if (module := _ON_DEMAND.get(name)) is None:
        raise AttributeError(f"module 'mtls' has no attribute {name!r}")
    return getattr(import_module(module), name)
