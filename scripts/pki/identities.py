"""Who there is: every identity of the system, its names, and what its certificate is for."""

from dataclasses import dataclass
from typing import Final

from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

TRUST_DOMAIN: Final = "video-demo.test"

SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Identity:
    """One row of the table below.

    `name` is the path of the SPIFFE ID and the folder under certs/; `dns_names` are the host names
    that clients dial, so only a server has any.
    """

    name: str
    ekus: tuple[ObjectIdentifier, ...]
    purpose: str
    dns_names: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The SPIFFE ID, by which every peer knows this identity."""
        return f"spiffe://{TRUST_DOMAIN}/{self.name}"

    @property
    def is_service(self) -> bool:
        """Whether a container uses it; the others belong to the person at the host."""
        return not self.name.startswith("client/")


IDENTITIES: Final = (
    Identity(
        "video-queue",
        (SERVER,),
        "serves the gateway and the transcoder",
        dns_names=("video-queue", "localhost"),
    ),
    Identity(
        "gateway",
        (SERVER, CLIENT),
        "serves people and programs, calls the queue",
        dns_names=("gateway", "localhost"),
    ),
    Identity("transcoder", (CLIENT,), "calls the queue, for work"),
    Identity("console", (CLIENT,), "calls the gateway, for a browser"),
    Identity("probe", (CLIENT,), "calls the health checks, nothing else"),
    Identity("client/uploader", (CLIENT,), "may upload, delete and watch, by curl or browser"),
    Identity("client/viewer", (CLIENT,), "may only watch, by curl or browser"),
)

DNS_NAMES: Final = tuple(sorted({name for identity in IDENTITIES for name in identity.dns_names}))


def identity_named(name: str) -> Identity:
    """Return the row of that name; `KeyError` if there is none."""
    return {identity.name: identity for identity in IDENTITIES}[name]
