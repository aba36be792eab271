"""A stack whose certificates change while it runs, and what its services say of that."""

import asyncio
import datetime as dt
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from mtls.certificates import Role
from mtls.identity import Identity, load_identity
from mtls.reporting.events import described
from mtls.ssl_contexts import client_context

from cryptography import x509

from demo_identities import IDENTITIES
from local_stack import Event, Service, Stack, running_stack
from pki.authority import Authority, Issued
from pki.bootstrap import bootstrap
from pki.crl import Revoked
from pki.identities import Identity as PkiIdentity
from pki.identity_folder import write_identity
from pki.layout import REVOKED, ROOT_CERTIFICATE
from pki.record import Record, read_record, write_record
from pki.revoke import revoke
from pki.rollover import rotate
from pki.rollover_state import Authorities, Stage
from pki.run import Options
from pki.store import write_atomically

SECONDS: Final = 30
_AT_ONCE: Final = dt.timedelta(0)


class Rotating:
    """Gives everybody new certificates, and waits until every service has taken them over."""

    def __init__(self, stack: Stack, queue: Service, gateway: Service, worker: Service) -> None:
        self.stack, self.queue, self.gateway, self.worker = stack, queue, gateway, worker
        self.identities = IDENTITIES

    @property
    def authority(self) -> Authority:
        """Who issues now."""
        return self.stack.authority

    @property
    def services(self) -> Mapping[str, Service]:
        """The services by the names of their identities."""
        return {"video-queue": self.queue, "gateway": self.gateway, "transcoder": self.worker}

    async def rotate(self) -> None:
        """Issue every identity anew."""
        await self._taken_over(
            lambda: bootstrap(self.stack.certs, Options(self.identities, again=True))
        )

    async def change_ca(self, stage: Stage) -> None:
        """Go through one stage of a change of the CA."""
        await self._taken_over(
            lambda: rotate(self.stack.certs, Options(self.identities, load_time=_AT_ONCE), stage)
        )
        self._use_what_issues_now()

    async def add(self, identity: PkiIdentity) -> None:
        """Add a row with new DNS names, which needs a new issuing CA.

        In its pause every service loads the list of it; so long is the pause, and no longer.
        """
        self.identities = replace(self.identities, rows=(*self.identities.rows, identity))
        since = self.positions()

        def lists_are_loaded() -> None:
            for name, service in self.services.items():
                service.log.wait_for(
                    lambda event: event["event"] == "identity.renewed",
                    since=since[name],
                    seconds=SECONDS,
                )

        options = Options(self.identities, load_time=dt.timedelta(microseconds=1))
        await asyncio.to_thread(bootstrap, self.stack.certs, options, on_pause=lists_are_loaded)
        self._use_what_issues_now()

    async def forget_old_issuing_ca(self) -> None:
        """Let the last leaf of the old issuing CA expire, as far as the record knows."""
        record = read_record(self.stack.certs)
        newest = max(leaf.generation for leaf in record.leaves)
        kept = tuple(leaf for leaf in record.leaves if leaf.generation == newest)
        write_record(self.stack.certs, Record(kept), owner=None)
        await self._taken_over(lambda: bootstrap(self.stack.certs, Options(self.identities)))

    async def revoke(self, what: str) -> None:
        """Revoke the certificates of an identity, which is given another."""
        await self._taken_over(lambda: revoke(self.stack.certs, Options(self.identities), what))

    def publish(self, name: str, *serials: int) -> None:
        """Give the service `name` a list of our own of what is revoked."""
        crl_pem = self.authority.crl(map(Revoked, serials))
        write_atomically(self.stack.certs / name / REVOKED.name, crl_pem, REVOKED.mode)

    def write(self, name: str, issued: Issued) -> None:
        """Give the service `name` a certificate of our own."""
        folder = self.stack.certs / name
        ca_pem, crl_pem = ((folder / f.name).read_bytes() for f in (ROOT_CERTIFICATE, REVOKED))
        write_identity(folder, issued, ca_pem, crl_pem=crl_pem)

    async def said(self, name: str, wanted: Event, *, since: int) -> Event:
        """Return the first event of a service after `since` that has these fields."""
        return await asyncio.to_thread(
            self.services[name].log.wait_for,
            lambda event: event.items() >= wanted.items(),
            since=since,
            seconds=SECONDS,
        )

    def positions(self) -> Mapping[str, int]:
        """Return where each service's log ends now."""
        return {name: service.log.position() for name, service in self.services.items()}

    def _use_what_issues_now(self) -> None:
        authorities = Authorities.load(self.stack.certs, now=dt.datetime.now(dt.UTC))
        assert authorities
        self.stack = replace(self.stack, authority=authorities.issuing)

    async def _taken_over(self, change: Callable[[], object]) -> None:
        """Make a change to the folders; return when every service has taken over its own."""
        since, before = self.positions(), self._identities()
        await asyncio.to_thread(change)
        for name, identity in self._identities().items():
            if identity == before[name]:
                continue
            renewed = {"event": "identity.renewed", **described(identity)}
            await self.said(name, renewed, since=since[name])
            if name != "video-queue" and shown_by(identity) != shown_by(before[name]):
                moved = {"event": "channel.renewed", "serial": identity.serial}
                await self.said(name, moved, since=since[name])
            if name != "transcoder":
                assert await asyncio.to_thread(self.served_serial, name) == identity.serial

    def _identities(self) -> Mapping[str, Identity]:
        return {
            name: load_identity(self.stack.certs / name, roles=frozenset())
            for name in self.services
        }

    def served_serial(self, name: str) -> str:
        """Return the serial number of the certificate that a new connection is shown."""
        probe = load_identity(self.stack.certs / "probe", roles=frozenset({Role.CLIENT}))
        context = client_context(probe, protocols=("h2", "http/1.1"))
        host, _, port = self.services[name].address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            certificate = connection.getpeercert(binary_form=True)
            assert certificate
            return serial_of(x509.load_der_x509_certificate(certificate))


def serial_of(certificate: x509.Certificate) -> str:
    """Return the serial number as the services write it down."""
    return f"{certificate.serial_number:x}"


def shown_by(identity: Identity) -> tuple[bytes, bytes]:
    """Return what a client shows and whom it trusts."""
    return identity.chain_pem, identity.ca_pem


@contextmanager
def rotating_stack(folder: Path) -> Iterator[Rotating]:
    """Start all services, and nothing that renews their certificates: the tests do that."""
    with (
        running_stack(folder) as (stack, queue, gateway),
        stack.start_transcoder(queue.address) as worker,
    ):
        yield Rotating(stack, queue, gateway, worker)
