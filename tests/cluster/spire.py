"""SPIRE is the issuer: nothing of ours signs a certificate here.

./scripts/test_cluster spire
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from mtls.certificates import Role
from mtls.identity import load_identity

import pytest
from cryptography import x509

from demo_identities import identity_named
from local_stack import Event, Service, Stack
from tests.cluster.spire_domain import CONFIGURATION, Domain, free_port, running_domain
from tests.cluster.spire_programs import spire_programs
from tests.examples.issuers_page import check_section
from tests.mtls.load import Load, steady_load
from tests.mtls.test_certificates_rotate_under_load import TROUBLE
from tests.pages import ROOT

SERVICES: Final = ("video-queue", "gateway", "transcoder")
UPLOADER: Final = identity_named("client/uploader")
STRANGER: Final = replace(UPLOADER, name="client/stranger")
LIFE_SECONDS: Final = 20  # the agent renews at half of it
ROTATIONS: Final = 10
OPTIONAL: Final = "optional"  # SPIRE has no revocation lists: its certificates live shortly
_WAIT_SECONDS: Final = 120


@dataclass(frozen=True)
class Running:
    """The domain and the services in it."""

    domain: Domain
    stack: Stack
    services: Mapping[str, Service]

    @property
    def gateway(self) -> Service:
        return self.services["gateway"]

    def renewals(self, name: str) -> list[Event]:
        """Return the identities that a service has taken over, one for each time that it did."""
        events = self.services[name].log.events()
        return [event for event in events if event["event"] == "identity.renewed"]

    def trouble(self) -> list[tuple[str, Event]]:
        return [
            (name, event)
            for name, service in self.services.items()
            for event in service.log.events()
            if event["event"] in TROUBLE and not is_idle_end(event)
        ]


def is_idle_end(event: Event) -> bool:
    """Whether an idle connection was closed whose client has had a newer certificate for long."""
    return (event["event"], event.get("reason")) == ("connection.closed", "expired")


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    names = (*SERVICES, UPLOADER.name)
    identities = [*map(identity_named, names), STRANGER]
    folder = tmp_path_factory.mktemp("spire")
    with running_domain(folder, spire_programs(), *identities, seconds=LIFE_SECONDS) as domain:
        for name in names:
            domain.start_helper(name).log.wait_for(wrote, seconds=_WAIT_SECONDS)
        yield domain


@pytest.fixture(scope="module")
def running(domain: Domain) -> Iterator[Running]:
    stack = Stack(domain.folder)
    with (
        stack.start_queue(REVOCATION_LISTS=OPTIONAL) as queue,
        stack.start_gateway(queue.address, REVOCATION_LISTS=OPTIONAL) as gateway,
        stack.start_transcoder(
            queue.address, TRANSCODER_WAIT_SECONDS="2", REVOCATION_LISTS=OPTIONAL
        ) as worker,
    ):
        yield Running(domain, stack, dict(zip(SERVICES, (queue, gateway, worker), strict=True)))


def wrote(event: Event) -> bool:
    """Whether the helper says that it has written the folder."""
    return " wrote spiffe://" in event["event"]


async def test_a_workload_gets_nothing_until_it_is_registered(domain: Domain) -> None:
    """The twin is the same process, a moment later: it differs by its entry alone."""
    late = replace(UPLOADER, name="client/late")
    agent = domain.folder / "spire-agent.log"
    helper = domain.start_helper(late.name)
    helper.log.wait_for(lambda event: "no identity issued" in event["event"], seconds=_WAIT_SECONDS)
    assert "No identity issued" in agent.read_text()
    assert list((domain.certs / late.name).iterdir()) == []
    domain.register(late, seconds=LIFE_SECONDS)
    await asyncio.to_thread(helper.log.wait_for, wrote, seconds=_WAIT_SECONDS)
    identity = load_identity(domain.certs / late.name, roles=frozenset({Role.CLIENT}))
    assert str(identity.spiffe_id) == late.uri


async def test_a_certificate_of_spires_is_no_right(running: Running) -> None:
    domain = running.domain
    domain.start_helper(STRANGER.name).log.wait_for(wrote, seconds=_WAIT_SECONDS)
    answers = {}
    for identity in (UPLOADER, STRANGER):
        session = running.stack.session(identity.name, running.gateway)
        async with session, session.get("/videos") as response:
            answers[identity.name] = response.status, (await response.json()).get("reason")
    assert answers == {UPLOADER.name: (200, None), STRANGER.name: (403, "not_listed")}
    denied = {"event": "call.denied", "identity": STRANGER.uri, "reason": "not_listed"}
    running.gateway.log.wait_for(lambda event: event.items() >= denied.items())


async def test_it_rotates_certificates_and_its_ca_under_load(running: Running) -> None:
    before = running.trouble()
    async with steady_load(running.stack, running.gateway, lists=False) as load:
        await load.more()
        await until(
            load, lambda: all(len(serials(running, name)) >= ROTATIONS for name in SERVICES)
        )
        await change_ca(running, load)
        await load.more()
    assert load.failed == []
    assert running.trouble() == before
    report(running, load)


def test_the_page_tells_the_truth(tmp_path: Path) -> None:
    """In a folder and a shell of its own; what it has started is ended there."""
    commands = {f"bin/{path.name}": path for path in spire_programs().iterdir()}
    commands["scripts/doctor"] = ROOT / "scripts/doctor"
    (tmp_path / "deploy").symlink_to(CONFIGURATION.parent)
    port = f"SPIRE_PORT={free_port()}"
    check_section(
        "SPIRE",
        tmp_path,
        commands,
        change=lambda command: command.replace("SPIRE_PORT=8081", port),
        ending="kill $(jobs -p); wait",
    )


async def change_ca(running: Running, load: Load) -> None:
    """Take SPIRE through a change of its CA; each step is seen in every service before the next."""
    domain = running.domain
    old = authority(domain, "active")
    domain.server("localauthority", "x509", "prepare")
    new = authority(domain, "prepared")
    await until(load, lambda: all(roots(running, name) == 2 for name in SERVICES))
    domain.server("localauthority", "x509", "activate", "-authorityID", new)
    domain.server("localauthority", "x509", "taint", "-authorityID", old)  # all leaves, at once
    folders = [domain.certs / name for name in (*SERVICES, UPLOADER.name)]
    await until(load, lambda: all(issuer_of(folder) == new for folder in folders))
    await load.more()
    domain.server("localauthority", "x509", "revoke", "-authorityID", old)
    await until(load, lambda: all(roots(running, name) == 1 for name in SERVICES))


async def until(load: Load, holds: Callable[[], bool]) -> None:
    """Return when it holds, or a request has failed."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while not load.failed and not await asyncio.to_thread(holds):
            await load.more()


def serials(running: Running, name: str) -> set[str]:
    return {event["serial"] for event in running.renewals(name)}


def roots(running: Running, name: str) -> int:
    """Return how many roots a service trusts now."""
    renewals = running.renewals(name)
    return int(renewals[-1]["roots"]) if renewals else 1


def authority(domain: Domain, state: str) -> str:
    """Return the ID of SPIRE's CA in that state, which is the key identifier of its certificate."""
    shown: Any = json.loads(domain.server("localauthority", "x509", "show", "-output", "json"))
    return str(shown[state]["authority_id"])


def issuer_of(folder: Path) -> str:
    """Return the key identifier of the CA that has signed the certificate in a folder."""
    leaf = load_identity(folder, roles=frozenset()).certificate
    aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return (aki.key_identifier or b"").hex()


def report(running: Running, load: Load) -> None:
    """Print what has happened; docs/issuers.md shows it."""
    taken = {name: len(serials(running, name)) for name in SERVICES}
    print(f"\ncertificates taken over: {', '.join(f'{n} {name}' for name, n in taken.items())}")
    print(f"CA changed: 1; requests: {sum(load.done.values())}, failed: {len(load.failed)}")
