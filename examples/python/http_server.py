"""An HTTPS server that asks every client for a certificate and knows it by its URI.

Usage: python http_server.py FOLDER HOST:PORT
FOLDER holds ca-certificate.crt, certificate.crt and private-key.pem: see ../README.md.
"""

import ssl
import sys
from pathlib import Path

from aiohttp import web

ALLOWED = {"spiffe://example.test/client"}


async def hello(request: web.Request) -> web.Response:
    """Greet the caller by name, if the name is on the list."""
    names = request.get_extra_info("peercert").get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"]
    caller = uris[0] if len(uris) == 1 else "a certificate without exactly one URI"
    print("called by", caller, flush=True)
    if caller not in ALLOWED:  # authentication says who calls; authorization says who may
        raise web.HTTPForbidden(text=f"{caller} may not call. If it should, add it to ALLOWED.")
    return web.Response(text=f"hello, {caller}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, (host, _, port) = Path(sys.argv[1]), sys.argv[2].rpartition(":")
    ca = folder / "ca-certificate.crt"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(folder / "certificate.crt", folder / "private-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED  # without this line no client is asked
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    app = web.Application()
    app.add_routes([web.get("/", hello)])
    web.run_app(app, host=host, port=int(port), ssl_context=context)
