"""A server in this process, on either event loop, and clients that it refuses."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from mtls.certificates import Role
from mtls.identity import Identity, load_identity

import uvloop

from demo_identities import IDENTITIES, identity_named
from impostors import Impostor, impostors, tls_context
from pki.authority import Authority
from pki.crl import Revoked
from pki.identity_folder import write_identity

Run = Callable[[Coroutine[Any, Any, Any]], Any]
LOOPS: Final[dict[str, Run]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Parties:
    """The identity that serves, a client that is served, and those that are refused, by reason."""

    identity: Identity
    authority: Authority
    refused: dict[str, ssl.SSLContext]
    served: ssl.SSLContext


def make_parties(folder: Path) -> Parties:
    """Make certificates for a gateway and its clients."""
    authority = Authority.create(IDENTITIES)
    uploader = identity_named("client/uploader")
    lost = authority.issue(uploader)
    write_identity(
        folder / "gateway",
        authority.issue(identity_named("gateway")),
        authority.ca_pem,
        crl_pem=authority.crl([Revoked(lost.certificate.serial_number)]),
    )
    served = Impostor("honest", authority.issue(uploader))
    outside = authority.issue(uploader, dns_names=["evil.test"])
    kinds = [
        *impostors(authority, uploader.name, unlisted="probe"),
        Impostor("foreign host name", outside, "name_not_permitted"),
        Impostor("revoked", lost, "revoked"),
    ]
    refused = {
        kind.reason: tls_context(authority.ca_pem, kind)
        for kind in kinds
        if kind.speaks_tls and kind.reason != "not_listed"
    }
    refused["protocol_version"] = tls_context(authority.ca_pem, served)
    refused["protocol_version"].maximum_version = ssl.TLSVersion.TLSv1_2
    return Parties(
        load_identity(folder / "gateway", roles=frozenset({Role.SERVER})),
        authority,
        refused,
        tls_context(authority.ca_pem, served),
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a connection ended: our own address, and our library's error (empty if it was served)."""

    peer: str
    error: str


def attempt(context: ssl.SSLContext, port: int) -> Attempt:
    """Connect, say something and read one byte."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as plain:
        host, own_port = plain.getsockname()
        text = ""
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(b"?")
                if not connection.recv(1):
                    text = "closed"
        except OSError as error:  # ssl.SSLError too
            text = str(error)
    return Attempt(f"{host}:{own_port}", text)


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)
