"""Both servers under one face, so that a claim about refusals is written once and proven twice."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import impostors
from demo_identities import identity_named
from impostors import Impostor, Outcome
from local_stack import Event, Service, Stack
from pki.authority import Authority, Issued
from pki.identities import Identity

# What a refused client of the gateway finds in its own error: the TLS alert (RFC 8446, section 6.2)
# by OpenSSL's name. A refused client of gRPC gets a closed socket and no reason.
ALERTS: Final[Mapping[str, str]] = {
    "no_certificate": "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "unknown_ca": "TLSV1_ALERT_UNKNOWN_CA",
    "expired": "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "not_yet_valid": "SSLV3_ALERT_BAD_CERTIFICATE",
    "wrong_purpose": "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "revoked": "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "name_not_permitted": "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "plaintext": "",  # a closed socket: who speaks no TLS can read no alert
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: whom it lets upload (`client`), and how a client tries to."""

    service: Service
    authority: Authority
    client: Identity
    upload: Callable[[Impostor, str], Awaitable[Outcome]]
    stored_titles: Callable[[], Awaitable[set[str]]]
    sends_alerts: bool

    async def serves(self, certificate: Issued) -> None:
        """Assert that an upload with this certificate arrives."""
        title = unique_title()
        outcome = await self.upload(Impostor("honest", certificate), title)
        assert outcome.accepted, outcome.words
        assert title in await self.stored_titles()

    async def refuses(self, client: Impostor, reason: str) -> None:
        """Assert that the handshake fails for this one reason, and that nothing is uploaded."""
        title, since = unique_title(), self.service.log.position()
        outcome = await self.upload(client, title)
        assert not outcome.accepted
        expected = ALERTS[reason] if self.sends_alerts else "UNAVAILABLE: "
        assert expected in outcome.words, outcome.words
        events = self._said(since, "handshake.refused")
        assert {(event["event"], event.get("reason")) for event in events} == {
            ("handshake.refused", reason)
        }
        assert title not in await self.stored_titles()

    async def denies(self, client: Impostor, rule: str, reason: str = "not_listed") -> None:
        """Assert that TLS succeeds, the policy denies the call, and nothing is uploaded."""
        title, since = unique_title(), self.service.log.position()
        outcome = await self.upload(client, title)
        assert not outcome.accepted
        code = "PERMISSION_DENIED" if reason in {"not_listed", "no_identity"} else "UNAUTHENTICATED"
        assert outcome.words.startswith((f"{code}: ", "HTTP 403: ")), outcome.words
        events = self._said(since, "call.denied")
        assert [(event["event"], event["reason"]) for event in events] == [("call.denied", reason)]
        assert rule in events[0]["rule"]
        assert title not in await self.stored_titles()

    def _said(self, since: int, awaited: str) -> list[Event]:
        """Return what the server has said of clients since then, once `awaited` is among it.

        Of other things it may speak at any time: a worker that reports, earlier refusals summed up.
        """
        self.service.log.wait_for(lambda event: event["event"] == awaited, since=since)
        events = self.service.log.events(since)
        return [
            event
            for event in events
            if event["event"].startswith(("handshake.", "connection.", "call."))
        ]


def queue_server(stack: Stack, queue: Service, gateway: Service) -> Server:
    """The gRPC server, whose client is the gateway."""

    async def upload(client: Impostor, title: str) -> Outcome:
        return await impostors.upload_over_grpc(
            queue.address,
            stack.authority.ca_pem,
            client,
            title,
            for_whom=identity_named("client/uploader").uri,
        )

    return Server(
        queue,
        stack.authority,
        identity_named("gateway"),
        upload,
        _titles_at(stack, gateway),
        sends_alerts=False,
    )


def gateway_server(stack: Stack, gateway: Service) -> Server:
    """The HTTP server, whose client is a person's or a program's certificate."""

    async def upload(client: Impostor, title: str) -> Outcome:
        return await impostors.upload_over_http(
            gateway.address, stack.authority.ca_pem, client, title
        )

    return Server(
        gateway,
        stack.authority,
        identity_named("client/uploader"),
        upload,
        _titles_at(stack, gateway),
        sends_alerts=True,
    )


def _titles_at(stack: Stack, gateway: Service) -> Callable[[], Awaitable[set[str]]]:
    """The titles of the newest videos, as an honest viewer sees them."""

    async def titles() -> set[str]:
        async with (
            stack.session("client/viewer", gateway) as session,
            session.get("/videos") as response,
        ):
            assert response.status == 200
            return {video["title"] for video in (await response.json())["videos"]}

    return titles


def unique_title() -> str:
    """Return a title that no other video has."""
    return f"video {uuid.uuid4()}"
