"""What the console can see of the others' certificates: who a server proves to be in a handshake.

A handshake is made as `console`, and verifies like any other client. The gateway's certificate and
the queue's are seen so; our own is in our folder. Nobody else serves anything.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mtls import Address, Identity, IdentitySource, MtlsError
from mtls.certificates import spiffe_id_of
from mtls.reporting.connection_probe import Cause, probe
from mtls.ssl_contexts import client_context

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from console.config import Config

GATEWAY: Final = "gateway"
QUEUE: Final = "video-queue"

_FRESH_SECONDS: Final = 1.0
# In TLS 1.3 a client is done before the server has looked at its certificate, so we wait for its
# first byte. A gRPC server speaks first (HTTP/2), and one of HTTP/1.1 answers.
_ASK_GATEWAY: Final = b"HEAD /openapi.json HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"


def certificate_json(certificate: x509.Certificate) -> dict[str, Any]:
    """Return what a page shows of a certificate. Times are RFC 3339, the serial is hexadecimal."""
    try:
        identity = str(spiffe_id_of(certificate))
    except MtlsError:
        identity = ""
    return {
        "identity": identity,
        "serial": f"{certificate.serial_number:x}",
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": rfc3339(certificate.not_valid_before_utc),
        "not_after": rfc3339(certificate.not_valid_after_utc),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def rfc3339(moment: dt.datetime) -> str:
    """Return a time of a certificate, which is in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one handshake with a server showed. `certificate` is None if none was verified."""

    server: str
    address: Address
    is_accepted: bool
    cause: str
    error: str
    advice: str
    seconds: float
    certificate: x509.Certificate | None

    def as_json(self) -> dict[str, Any]:
        """Return it for the page."""
        return {
            "server": self.server,
            "address": str(self.address),
            "accepted": self.is_accepted,
            "cause": self.cause,
            "error": "" if self.is_accepted else self.error,
            "fix": "" if self.is_accepted else self.advice,
            "milliseconds": round(self.seconds * 1000, 1),
            "certificate": certificate_json(self.certificate) if self.certificate else None,
        }


class Sight:
    """Makes handshakes with the servers, as `console`."""

    def __init__(self, config: Config, source: IdentitySource) -> None:
        self._seconds = config.call_seconds
        over_grpc = source.derive(_grpc_context)
        self._servers: dict[str, tuple[Address, Callable[[], Any], bytes]] = {
            GATEWAY: (config.gateway, lambda: source.client_context, _ASK_GATEWAY),
            QUEUE: (config.queue, lambda: over_grpc.value, b""),
        }
        self._looking = asyncio.Lock()
        self._seen: tuple[Sighting, ...] = ()
        self._seen_at = -_FRESH_SECONDS

    async def look(self) -> tuple[Sighting, ...]:
        """Shake hands with every server at once; failures are sightings too."""
        return tuple(await asyncio.gather(*map(self.look_at, self._servers)))

    async def look_again(self) -> tuple[Sighting, ...]:
        """Return what `look` says, or has said in the last second: many pages may ask at once."""
        async with self._looking:
            if time.monotonic() - self._seen_at > _FRESH_SECONDS:
                self._seen = await self.look()
                self._seen_at = time.monotonic()
            return self._seen

    async def look_at(self, server: str) -> Sighting:
        """Shake hands with one server."""
        address, context, ask = self._servers[server]
        begin = time.monotonic()
        found = await probe(address, context(), ask=ask, seconds=self._seconds)
        return Sighting(
            server=server,
            address=address,
            is_accepted=found.cause is Cause.NO_FAULT_FOUND,
            cause=str(found.cause),
            error=found.error,
            advice=found.advice,
            seconds=time.monotonic() - begin,
            certificate=(
                x509.load_der_x509_certificate(found.certificate) if found.certificate else None
            ),
        )


def _grpc_context(identity: Identity) -> Any:
    return client_context(identity, protocols=("h2",))
