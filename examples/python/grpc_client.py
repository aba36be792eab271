"""A gRPC client that shows its certificate.

Usage: python grpc_client.py FOLDER HOST:PORT
FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
"""

import asyncio
import os
import sys
from pathlib import Path

os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES128-CBC-SHA"  # TLS 1.3: see grpc_server.py
import grpc.aio
from hello_pb2 import HelloRequest
from hello_pb2_grpc import GreeterStub

HINT = "If it runs, it may have refused our certificate: check its CA, its dates, and clientAuth."


async def call(folder: Path, address: str) -> None:
    """Get the greeting and print it."""
    ca = (folder / "ca-certificate.crt").read_bytes()
    certificate = (folder / "certificate.crt").read_bytes()
    key = (folder / "private-key.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        reply = await GreeterStub(channel).SayHello(HelloRequest(), timeout=10)
    print(reply.text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        asyncio.run(call(Path(sys.argv[1]), sys.argv[2]))
    except grpc.aio.AioRpcError as error:
        hint = HINT if error.code() == grpc.StatusCode.UNAVAILABLE else ""
        sys.exit(f"{sys.argv[2]}: {error.code().name}: {error.details()}\n{hint}")
