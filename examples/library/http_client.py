"""An HTTP client with mutual TLS: `python http_client.py certs/client/viewer localhost:8444`."""

import asyncio
import sys
from pathlib import Path

from mtls import Role, watch_identity

import aiohttp


async def main(folder: Path, address: str) -> None:
    async with (
        watch_identity(folder, Role.CLIENT) as identity,
        aiohttp.ClientSession() as session,
        # The context of now: asked for with each request, it is that of the newest certificate.
        session.get(f"https://{address}/hello", ssl=identity.client_context) as response,
    ):
        print(response.status, await response.text())


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
