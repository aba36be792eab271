"""The parts of the demo in which certificates are replaced or revoked, and nobody is disturbed."""

import asyncio
from typing import Final

from mtls.certificates import Role
from mtls.identity import load_identity
from mtls.ssl_contexts import client_context

import aiohttp
from rich.console import Console

from demo_identities import IDENTITIES
from local_stack import Service, Stack
from pki.authority import Issued
from pki.bootstrap import bootstrap
from pki.crl import parse_crls, revoked_in
from pki.identities import Identity
from pki.identity_folder import read_identity
from pki.revocation_lists import read_lists
from pki.revoke import revoke
from pki.run import Options

_LONGEST_WAIT: Final = 30  # seconds; a service looks at its folder every five


async def show_renewal(console: Console, stack: Stack, gateway: Service, client: Identity) -> bool:
    """Issue every leaf again; return whether the gateway shows its new one and serves on."""
    console.print("[bold]6. Every certificate is replaced, and nothing stops[/bold]")
    async with stack.session(client.name, gateway) as session:
        before = await _shown(stack, gateway, client)
        earlier = await _status(session)
        since = gateway.log.position()
        await asyncio.to_thread(bootstrap, stack.certs, Options(IDENTITIES, again=True))
        issued = f"{read_identity(stack.certs / gateway.name).leaf.serial_number:x}"
        await asyncio.to_thread(
            gateway.log.wait_for,
            lambda event: event["event"] == "identity.renewed" and event["serial"] == issued,
            since=since,
            seconds=_LONGEST_WAIT,
        )
        after = await _shown(stack, gateway, client)
        later = await _status(session)
    console.print("   bootstrap_certs.py renew --now: every leaf is issued again")
    console.print(f"   the gateway showed {before}")
    console.print(f"    and now it shows  {after}")
    console.print(f"   GET /videos, before and after, by one client: HTTP {earlier}, {later}\n")
    return before != after == issued and earlier == later == 200


async def steal_and_revoke(stack: Stack, server: Service, victim: Identity) -> Issued:
    """Copy a genuine key, have it revoked, and return it when the server knows of that.

    Its owner is given another at once.
    """
    held = read_identity(stack.certs / victim.name)
    assert held.key_pem  # noqa: S101  the demo made it
    since = server.log.position()
    await asyncio.to_thread(revoke, stack.certs, Options(IDENTITIES), victim.name)
    listed = sum(len(revoked_in(crl)) for crl in parse_crls(read_lists(stack.certs)))
    await asyncio.to_thread(
        server.log.wait_for,
        lambda event: event["event"] == "identity.renewed" and event["revoked"] == listed,
        since=since,
        seconds=_LONGEST_WAIT,
    )
    return Issued(held.leaf, held.chain_pem, held.key_pem)


async def _status(session: aiohttp.ClientSession) -> int:
    async with session.get("/videos") as response:
        await response.read()
        return response.status


async def _shown(stack: Stack, server: Service, client: Identity) -> str:
    """Return the serial number of the certificate that a new connection is shown."""
    identity = load_identity(stack.certs / client.name, roles=frozenset({Role.CLIENT}))
    host, _, port = server.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=client_context(identity))
    serial = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return f"{int(serial, 16):x}"
