"""A gRPC server that answers every call with the same bytes."""

import os
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import uvloop

from benchmarks.floor.constants import SERVICE, VIDEO, announce_and_wait, identity


async def _get(_request: bytes, _context: object) -> bytes:
    return VIDEO


async def _upload(requests: AsyncIterator[bytes], _context: object) -> bytes:
    async for _ in requests:
        pass
    return VIDEO


async def main() -> None:
    """Serve until SIGTERM."""
    key, chain, ca = identity()
    server = grpc.aio.server()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "GetVideo": grpc.unary_unary_rpc_method_handler(_get),
        "Upload": grpc.stream_unary_rpc_method_handler(_upload),
    }
    handlers = grpc.method_handlers_generic_handler(SERVICE, methods)
    server.add_generic_rpc_handlers((handlers,))
    credentials = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
    port = server.add_secure_port(os.environ["PEER_LISTEN"], credentials)
    await server.start()
    await announce_and_wait(port)
    await server.stop(grace=None)


if __name__ == "__main__":
    uvloop.run(main())
