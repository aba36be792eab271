"""The files of other issuers, replaced as each of them does: no request fails.

It is the short form of tests/cluster/spire.py, which has SPIRE itself.
"""

import asyncio
from pathlib import Path
from typing import Final

from demo_identities import identity_named
from local_stack import Service, Stack
from runtime import healthcheck
from tests.mtls.load import steady_load
from tests.mtls.test_certificates_rotate_under_load import TROUBLE
from tests.unit.mtls.test_layouts import mount, serial_of, write_in_place

ROTATIONS: Final = 5
OPTIONAL: Final = "optional"  # the others give no revocation lists
WRITERS: Final = {
    "video-queue": mount,
    "gateway": write_in_place,
    "transcoder": mount,
    "client/uploader": write_in_place,
    "probe": mount,
}


def renew(stack: Stack) -> dict[str, str]:
    """Give everybody a new certificate; return the serial numbers."""
    serials = {}
    for name, write in WRITERS.items():
        issued = stack.authority.issue(identity_named(name))
        (stack.certs / name).mkdir(parents=True, exist_ok=True)
        write(stack.certs / name, issued, stack.authority.ca_pem)
        serials[name] = serial_of(issued)
    return serials


def has_renewed(service: Service, serial: str) -> None:
    renewed = {"event": "identity.renewed", "serial": serial}
    service.log.wait_for(lambda event: event.items() >= renewed.items())


async def test_secrets_and_svids_are_replaced_under_load(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    renew(stack)
    with (
        stack.start_queue(REVOCATION_LISTS=OPTIONAL) as queue,
        stack.start_gateway(queue.address, REVOCATION_LISTS=OPTIONAL) as gateway,
        stack.start_transcoder(queue.address, REVOCATION_LISTS=OPTIONAL) as worker,
    ):
        services = {"video-queue": queue, "gateway": gateway, "transcoder": worker}
        async with steady_load(stack, gateway, lists=False) as load:
            for _ in range(ROTATIONS):
                await load.more()
                serials = await asyncio.to_thread(renew, stack)
                for name, service in services.items():
                    await asyncio.to_thread(has_renewed, service, serials[name])
            await load.more()
        assert load.failed == []
        said = [event for service in services.values() for event in service.log.events()]
        assert [event for event in said if event["event"] in TROUBLE] == []
        loaded = [event["layout"] for event in said if event["event"] == "identity.loaded"]
        assert loaded == ["cert-manager", "SPIRE", "cert-manager"]
        probe = str(stack.certs / "probe")
        for url in (f"grpc://{queue.address}", f"https://{gateway.address}/healthz"):
            assert await asyncio.to_thread(healthcheck.main, [url, "--identity", probe]) == 0
