"""A stack whose certificates change while it runs, and what its services say of that."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.http_endpoint import client_context
from mtls.identity import load_identity

from cryptography import x509

from local_stack import Event, Service, Stack
from pki.authority import Authority, Issued
from pki.crl import Revoked
from pki.identities import IDENTITIES, identity_named
from pki.identity_folder import write_identity
from pki.layout import REVOKED
from pki.store import write_atomically

_SECONDS: Final = 30


class Rotating:
    """Gives everybody new certificates, and waits until every service has taken them over."""

    def __init__(self, stack: Stack, queue: Service, gateway: Service, worker: Service) -> None:
        self.stack, self.queue, self.gateway, self.worker = stack, queue, gateway, worker

    @property
    def authority(self) -> Authority:
        """Who issues now."""
        return self.stack.authority

    def issue_from(self, authority: Authority) -> None:
        """Let another CA issue from now on."""
        self.stack = replace(self.stack, authority=authority)

    @property
    def services(self) -> Mapping[str, Service]:
        """The services by the names of their identities."""
        return {"video-queue": self.queue, "gateway": self.gateway, "transcoder": self.worker}

    async def rotate(self, ca_pem: bytes = b"", crl_pem: bytes = b"") -> None:
        """Issue every identity anew, from `authority`; without arguments it alone is trusted."""
        since = self.positions()
        serials = {
            identity.name: self.write(identity.name, ca_pem=ca_pem, crl_pem=crl_pem)
            for identity in IDENTITIES
        }
        await self.taken_over(serials, since)

    def write(
        self, name: str, issued: Issued | None = None, *, ca_pem: bytes = b"", crl_pem: bytes = b""
    ) -> str:
        """Write one identity's folder; return the serial number of its new certificate."""
        issued = issued or self.authority.issue(identity_named(name))
        write_identity(
            self.stack.certs / name,
            issued,
            ca_pem or self.authority.ca_pem,
            crl_pem=crl_pem or self.authority.crl(),
        )
        return serial_of(issued.certificate)

    def revoke(self, name: str, *serials: int) -> None:
        """Write new revocation lists into the folder of `name`: its service is to know of them."""
        crl_pem = self.authority.crl(Revoked(serial) for serial in serials)
        write_atomically(self.stack.certs / name / REVOKED.name, crl_pem, REVOKED.mode)

    async def said(self, name: str, wanted: Event, *, since: int) -> Event:
        """Return the first event of a service after `since` that has these fields."""
        return await asyncio.to_thread(
            self.services[name].log.wait_for,
            lambda event: event.items() >= wanted.items(),
            since=since,
            seconds=_SECONDS,
        )

    def positions(self) -> Mapping[str, int]:
        """Return where each service's log ends now."""
        return {name: service.log.position() for name, service in self.services.items()}

    async def taken_over(self, serials: Mapping[str, str], since: Mapping[str, int]) -> None:
        """Return when every service shows its new certificate to whoever it meets."""
        for name in self.services:
            wanted = {"event": "identity.renewed", "serial": serials[name]}
            await self.said(name, wanted, since=since[name])
            if name != "video-queue":  # which calls nobody
                wanted["event"] = "channel.renewed"
                await self.said(name, wanted, since=since[name])
        for name in ("video-queue", "gateway"):
            assert await asyncio.to_thread(self.served_serial, name) == serials[name]

    def served_serial(self, name: str) -> str:
        """Return the serial number of the certificate that a new connection is shown."""
        probe = load_identity(self.stack.certs / "probe", roles=frozenset({Role.CLIENT}))
        context = client_context(probe, protocols=("h2", "http/1.1"))
        host, _, port = self.services[name].address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            certificate = connection.getpeercert(binary_form=True)
            assert certificate
            return serial_of(x509.load_der_x509_certificate(certificate))


def serial_of(certificate: x509.Certificate) -> str:
    """Return the serial number as the services write it down."""
    return f"{certificate.serial_number:x}"


@contextmanager
def rotating_stack(folder: Path) -> Iterator[Rotating]:
    """Start all services, with revocation lists."""
    stack = Stack(folder)
    for identity in IDENTITIES:
        write_identity(
            stack.certs / identity.name,
            stack.authority.issue(identity),
            stack.authority.ca_pem,
            crl_pem=stack.authority.crl(),
        )
    with (
        stack.start_queue() as queue,
        stack.start_gateway(queue.address) as gateway,
        stack.start_transcoder(queue.address) as worker,
    ):
        yield Rotating(stack, queue, gateway, worker)
