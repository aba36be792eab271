"""An HTTP server with mutual TLS: `python http_server.py certs/gateway localhost:8444`."""

import asyncio
import sys
from pathlib import Path

from mtls import PEER, Role, listening, protect, watch_identity
from mtls.reporting import Reporter

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    print(f"{request[PEER].name} called", flush=True)
    return web.Response(text=f"Hello, {request[PEER].name}!\n")


async def main(folder: Path, address: str) -> None:
    app = web.Application()
    app.router.add_get("/hello", hello)
    async with watch_identity(folder, Role.SERVER, observer=Reporter()) as identity:
        protect(app, identity, {"GET /hello": {"client/viewer"}})
        async with listening(app, address, identity) as real:
            print(f"listening on {real}", flush=True)
            await asyncio.Event().wait()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
