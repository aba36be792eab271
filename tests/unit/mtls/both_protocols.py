"""Serves and calls both protocols with the core alone: `python both_protocols.py FOLDER`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import mtls
from mtls import PEER, Identity, Observer, Role, watch_identity

import aiohttp
import grpc.aio
from aiohttp import web

FOLDER = Path(sys.argv[1])
METHOD = "/hello.v1.Greeter/Hello"


class Events(Observer):
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.denied: list[str] = []
        self.renewed = asyncio.Event()

    def handshake_refused(self, endpoint: str, refusal: Any) -> None:
        self.refused.append(f"{endpoint} {refusal.reason}")

    def call_denied(self, endpoint: str, policy: Any, method: str, error: Any) -> None:
        self.denied.append(f"{endpoint} {error.reason}")

    def identity_renewed(self, identity: Identity) -> None:
        self.renewed.set()


async def hello_http(request: web.Request) -> web.Response:
    return web.Response(text=request[PEER].name)


async def hello_grpc(_request: bytes, context: Any) -> bytes:
    return mtls.peer_of(context).name.encode()


async def call_http(name: str, address: mtls.Address) -> str:
    async with (
        watch_identity(FOLDER / name, Role.CLIENT) as identity,
        aiohttp.ClientSession() as session,
    ):
        url = f"https://localhost:{address.port}/hello"
        try:
            async with session.get(url, ssl=identity.client_context) as response:
                return f"{response.status} {response.content_type} {await response.text()}"
        except aiohttp.ClientError:
            return "refused"


async def call_grpc(name: str, address: mtls.Address) -> str:
    async with (
        watch_identity(FOLDER / name, Role.CLIENT) as identity,
        mtls.mtls_channel(f"localhost:{address.port}", identity) as channel,
    ):
        call: Any = channel.unary_unary(METHOD)
        try:
            return str((await call(b"", timeout=20)).decode())
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)


async def main() -> None:
    events, app = Events(), web.Application()
    app.router.add_get("/hello", hello_http)
    server_folder = FOLDER / "gateway"
    async with watch_identity(
        server_folder, Role.SERVER, observer=events, poll_seconds=0.05
    ) as identity:
        mtls.protect(app, identity, {"GET /hello": {"client/viewer"}})
        interceptor = mtls.authorize_calls(identity, {METHOD: {"client/viewer"}})
        server = grpc.aio.server(interceptors=[interceptor])
        handler: Any = grpc.unary_unary_rpc_method_handler(hello_grpc)
        server.add_registered_method_handlers("hello.v1.Greeter", {"Hello": handler})
        grpc_address = mtls.add_mtls_port(server, "127.0.0.1:0", identity)
        await server.start()
        async with mtls.listening(app, "127.0.0.1:0", identity) as http_address:
            for name in ("client/viewer", "client/uploader", "stranger"):
                print("http", name, await call_http(name, http_address))
                print("grpc", name, await call_grpc(name, grpc_address))
            for path in (FOLDER / "next").iterdir():
                path.replace(server_folder / path.name)
            await asyncio.wait_for(events.renewed.wait(), 30)
            print("renewed", await call_http("client/viewer", http_address))
        await server.stop(None)
    print("refused", sorted(set(events.refused)))  # aiohttp tries a GET twice
    print("denied", events.denied)
    print("imported", sorted(name for name in sys.modules if name.startswith("mtls.reporting")))


if __name__ == "__main__":
    asyncio.run(main())
