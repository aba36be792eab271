"""A gRPC server that asks every client for a certificate and knows it by its URI.

Usage: python grpc_server.py FOLDER HOST:PORT
FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable
from pathlib import Path

# gRPC has no setting for TLS 1.3 alone. This leaves to TLS 1.2 one cipher suite, for keys that
# were shared beforehand, and nobody has one. It counts when it is set before the import.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES128-CBC-SHA"
import grpc.aio
from hello_pb2 import HelloReply, HelloRequest
from hello_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server

ALLOWED = {"spiffe://example.test/client"}
Context = grpc.aio.ServicerContext[HelloRequest, Awaitable[HelloReply]]


class Greeter(GreeterServicer):
    """Greets the caller by name, if the name is on the list."""

    async def SayHello(self, request: HelloRequest, context: Context) -> HelloReply:
        uris = [uri.decode() for uri in context.auth_context().get("peer_uri", ())]
        caller = uris[0] if len(uris) == 1 else "a certificate without exactly one URI"
        print("called by", caller, flush=True)
        if caller not in ALLOWED:  # authentication says who calls; authorization says who may
            text = f"{caller} may not call. If it should, add it to ALLOWED."
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, text)
        return HelloReply(text=f"hello, {caller}")


async def serve(folder: Path, address: str) -> None:
    """Serve until the process is ended."""
    ca = (folder / "ca-certificate.crt").read_bytes()
    certificate = (folder / "certificate.crt").read_bytes()
    key = (folder / "private-key.pem").read_bytes()
    server = grpc.aio.server()
    add_GreeterServicer_to_server(Greeter(), server)
    server.add_secure_port(
        address,
        grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True),
    )
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
