"""A gRPC client with mutual TLS: `python grpc_client.py certs/client/viewer localhost:50052`."""

import asyncio
import sys
from pathlib import Path

from mtls import Role, mtls_channel, watch_identity


async def main(folder: Path, address: str) -> None:
    async with (
        watch_identity(folder, Role.CLIENT) as identity,
        mtls_channel(address, identity) as channel,  # renews itself when the certificate changes
    ):
        call = channel.unary_unary("/hello.v1.Greeter/Hello")
        print((await call(b"", timeout=10)).decode())


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
