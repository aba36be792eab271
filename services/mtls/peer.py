"""Who is at the other end: the identity in the certificate that TLS has verified."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mtls.certificates import (
    CertificateError,
    CertificateId,
    Role,
    certificate_id_of,
    check_purpose,
    spiffe_id_of,
)
from mtls.errors import MtlsError
from mtls.spiffe import SpiffeId, SpiffeIdError

from cryptography import x509

if TYPE_CHECKING:  # a gRPC service has no aiohttp installed, an HTTP service perhaps no grpcio
    import grpc.aio
    from aiohttp import web


class PeerError(MtlsError):
    """The peer's certificate does not say who it is."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An authenticated peer, and the certificate that it has shown.

    `expires_at` is in seconds since 1970: it is compared with the clock in every call.
    """

    spiffe_id: SpiffeId
    certificate_id: CertificateId
    expires_at: float

    @property
    def name(self) -> str:
        """Who it is within its trust domain: the path of its SPIFFE ID, as `client/uploader`."""
        return self.spiffe_id.path


def peer_of_call(context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
    """Return who makes this gRPC call. Raises `PeerError`."""
    certificates = tuple(context.auth_context().get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise PeerError("The call came without a client certificate.")
    return _peer_from_pem(certificates[0])


def peer_of_request(request: web.Request | asyncio.StreamWriter | asyncio.BaseTransport) -> Peer:
    """Return who makes this HTTP request, or is at the end of this connection.

    Raises `PeerError`.
    """
    tls = request.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    if certificate is None:
        raise PeerError("The request came without a client certificate.")
    return _peer_from_der(certificate)


# A certificate is parsed once, not once per call. TLS has verified it when the connection was made.
@lru_cache(maxsize=1024)
def _peer_from_pem(pem: bytes) -> Peer:
    return _peer_from(x509.load_pem_x509_certificate(pem))


@lru_cache(maxsize=1024)
def _peer_from_der(der: bytes) -> Peer:
    return _peer_from(x509.load_der_x509_certificate(der))


def _peer_from(certificate: x509.Certificate) -> Peer:
    try:
        check_purpose(certificate, Role.CLIENT)
        return Peer(
            spiffe_id_of(certificate),
            certificate_id_of(certificate),
            certificate.not_valid_after_utc.timestamp(),
        )
    except (CertificateError, SpiffeIdError) as error:
        raise PeerError(str(error)) from error
