"""A gRPC server with mutual TLS: `python grpc_server.py certs/video-queue localhost:50052`."""

import asyncio
import sys
from pathlib import Path

from mtls import Role, add_mtls_port, authorize_calls, peer_of, watch_identity
from mtls.reporting import Reporter

import grpc.aio


async def hello(_request: bytes, context: grpc.aio.ServicerContext) -> bytes:
    print(f"{peer_of(context).name} called", flush=True)
    return f"Hello, {peer_of(context).name}!".encode()


async def main(folder: Path, address: str, reporter: Reporter) -> None:
    async with watch_identity(folder, Role.SERVER, observer=reporter) as identity:
        allowed = {"/hello.v1.Greeter/Hello": {"client/viewer"}}
        server = grpc.aio.server(interceptors=[authorize_calls(identity, allowed)])
        methods = {"Hello": grpc.unary_unary_rpc_method_handler(hello)}
        server.add_registered_method_handlers("hello.v1.Greeter", methods)
        print(f"listening on {add_mtls_port(server, address, identity)}", flush=True)
        await server.start()
        await server.wait_for_termination()


with (reporter := Reporter()).reading_core_log("grpc"):  # says why gRPC refused a handshake
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], reporter))
