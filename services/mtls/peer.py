"""Who is at the other end, by the certificate that TLS has verified; and is it still valid?

TLS looks at a certificate once. The connection then lives for hours, and longer than that if its
session can be resumed: gRPC's servers hand out tickets with which a client comes back for two days,
without showing its certificate again (RFC 8446, section 2.2). So every call looks again, and so do
timers in http_listener and grpc_server for long calls and idle connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mtls.certificates import CertificateId, Role, certificate_id_of, check_leaf, is_issued_by
from mtls.errors import MtlsError
from mtls.refusals import Reason
from mtls.spiffe import SpiffeId

from cryptography import x509

if TYPE_CHECKING:  # for their types alone: a gRPC service has no aiohttp, an HTTP service no grpcio
    from mtls.identity import Identity

    import grpc.aio
    from aiohttp import web

# Open connections and calls are checked this often: so long may one outlive its certificate.
CHECK_SECONDS: Final = 5.0


class PeerError(MtlsError):
    """The peer's certificate does not say who it is. `certificate` is what it has shown."""

    reason = "no_identity"
    peer: Peer | None = None
    certificate: x509.Certificate | None = None

    @property
    def rule(self) -> str:
        """Why, for our log."""
        return str(self)


class NoLongerValid(PeerError):
    """The peer's certificate was valid in the handshake; `reason` says what has happened since."""

    def __init__(self, peer: Peer, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.peer = peer
        self.reason = reason.value


@dataclass(frozen=True, slots=True)
class Peer:
    """An authenticated peer, and the certificate that it has shown.

    `expires_at` is in seconds since 1970: it is compared with the clock in every call. `issuer` is
    the certificate of the CA that signed it, where the stack shows it: gRPC does. `was_listed` says
    that TLS has found a list of that CA in the handshake: OpenSSL does, gRPC's library has none.
    """

    spiffe_id: SpiffeId
    certificate_id: CertificateId
    expires_at: float
    issuer: x509.Certificate | None = field(default=None, repr=False, compare=False)
    was_listed: bool = field(default=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Who it is within its trust domain: the path of its SPIFFE ID, as `client/uploader`."""
        return self.spiffe_id.path

    def check_still_valid(self, identity: Identity, *, now: float | None = None) -> None:
        """Raise `NoLongerValid` if the certificate has expired, or is on a list of `identity`.

        `now` is in seconds since 1970 (default: the clock). With revocation lists that are out of
        date nobody is let in, as in OpenSSL.
        """
        now = time.time() if now is None else now
        revocations = identity.revocations
        if now > self.expires_at:
            reason = Reason.EXPIRED
            text = "Your certificate has expired: renew it, and connect again."
        elif revocations is None:
            return
        elif self.certificate_id in revocations.certificates:
            reason = Reason.REVOKED
            text = "Your certificate was revoked: have another issued, and connect again."
        elif now > revocations.ends_at:
            reason = Reason.NO_REVOCATION_LIST
            text = (
                "The server's revocation lists are out of date: until it has new ones, "
                "it serves nobody."
            )
        elif not self.was_listed and not revocations.covers(
            self.certificate_id.issuer, self.issuer
        ):
            # Over HTTP the list of a CA that is replaced goes while its connections are still open.
            reason = Reason.NO_REVOCATION_LIST
            text = (
                "The server has no revocation list of your certificate's CA: until it has one, "
                "it does not serve you."
            )
        else:
            return
        raise NoLongerValid(self, reason, text)


def peer_of_call(context: grpc.aio.ServicerContext[Any, Any]) -> Peer:
    """Return who makes this gRPC call. Raises `PeerError`."""
    connection = context.auth_context()
    certificates = tuple(connection.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise PeerError("The call came without a client certificate.")
    return _peer_from_pem(certificates[0], *connection.get("x509_pem_cert_chain", ()))


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
def _peer_from_pem(pem: bytes, chain: bytes = b"") -> Peer:
    return _peer_from(x509.load_pem_x509_certificate, pem, chain, was_listed=False)


@lru_cache(maxsize=1024)
def _peer_from_der(der: bytes) -> Peer:
    return _peer_from(x509.load_der_x509_certificate, der, b"", was_listed=True)


def _peer_from(
    parse: Callable[[bytes], x509.Certificate], content: bytes, chain: bytes, *, was_listed: bool
) -> Peer:
    """Read a peer's certificate: what fails in it, whatever it is, is a `PeerError`."""
    certificate: x509.Certificate | None = None
    try:
        certificate = parse(content)
        return Peer(
            check_leaf(certificate, Role.CLIENT),
            certificate_id_of(certificate),
            certificate.not_valid_after_utc.timestamp(),
            _issuer_of(certificate, chain),
            was_listed,
        )
    except MtlsError as error:
        nameless = PeerError(str(error))
        nameless.certificate = certificate
        raise nameless from error
    except Exception as error:  # the parser has many errors, and a TLS library may not look there
        raise PeerError("The certificate cannot be parsed: have it issued again.") from error


def _issuer_of(certificate: x509.Certificate, chain: bytes) -> x509.Certificate | None:
    """Return the certificate of `chain` (PEM) whose key has signed this one."""
    candidates = x509.load_pem_x509_certificates(chain) if chain else []
    issuer = next((each for each in candidates if is_issued_by(certificate, each)), None)
    return issuer and _kept(issuer)


@lru_cache(maxsize=64)
def _kept(issuer: x509.Certificate) -> x509.Certificate:
    """Return one object for all peers of a CA."""
    return issuer
