"""An HTTP server that calls the queue once for each request, and answers with the same bytes."""

import os
import ssl

import grpc
import grpc.aio
import uvloop
from aiohttp import web

from benchmarks.floor.constants import SERVICE, VIDEO_JSON, announce_and_wait, identity

_HEADERS = {"Content-Type": "application/json"}


def _context() -> ssl.SSLContext:
    folder = os.environ["PEER_IDENTITY"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(f"{folder}/ca-certificate.crt")
    context.load_cert_chain(f"{folder}/certificate.crt", f"{folder}/private-key.pem")
    return context


async def main() -> None:
    """Serve until SIGTERM."""
    key, chain, ca = identity()
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    async with grpc.aio.secure_channel(os.environ["PEER_QUEUE"], credentials) as channel:
        get_video: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/GetVideo"
        )
        upload: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(
            f"/{SERVICE}/Upload"
        )

        async def get(_request: web.Request) -> web.Response:
            await get_video(b"")
            return web.Response(body=VIDEO_JSON, headers=_HEADERS)

        async def post(request: web.Request) -> web.Response:
            body = await request.read()
            await upload(iter((b"", body)))
            return web.Response(status=201, body=VIDEO_JSON, headers=_HEADERS)

        app = web.Application()
        app.router.add_get("/videos", get)
        app.router.add_get("/videos/{id}", get)
        app.router.add_post("/videos", post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        host, port = os.environ["PEER_LISTEN"].split(":")
        await web.TCPSite(runner, host, int(port), ssl_context=_context()).start()
        await announce_and_wait(runner.addresses[0][1])
        await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
