"""An HTTPS client that shows its certificate.

Usage: python http_client.py FOLDER HOST:PORT
FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
"""

import asyncio
import ssl
import sys
from pathlib import Path

import aiohttp

HINT = "If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth."


async def call(folder: Path, address: str) -> None:
    """Get the greeting and print it."""
    context = ssl.create_default_context(cafile=folder / "ca-certificate.crt")
    context.load_cert_chain(folder / "certificate.crt", folder / "private-key.pem")
    context.hostname_checks_common_name = False  # the server's name is in its SAN, nowhere else
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.get(f"https://{address}/", ssl=context) as response,
    ):
        text = await response.text()
    if response.status != 200:
        sys.exit(f"{address} answered {response.status}: {text}")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        asyncio.run(call(Path(sys.argv[1]), sys.argv[2]))
    except (aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f"{sys.argv[2]} did not answer: {type(error).__name__}: {error}\n{HINT}")
