"""Listening: plain HTTP, for one machine's browsers; and the line that says what to open."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from mtls import Address, IdentitySource

from aiohttp import web

from console.app import create_app
from console.config import Config
from console.exposure import Exposure
from runtime.alive import show_alive
from runtime.errors import StartError

_BACKLOG: Final = 64


@asynccontextmanager
async def serving(config: Config, source: IdentitySource) -> AsyncIterator[Address]:
    """Serve as the identity in force; yield the address, with the real port when that is 0.

    Prints the address to open, with its token: it is nowhere else. Raises `StartError`.
    """
    loop = asyncio.get_running_loop()
    bound = _bind(config.listen)
    address = Address(config.listen.host, bound.getsockname()[1])
    exposure = Exposure.create(_with_port(config.url, address.port))
    runner = web.AppRunner(
        create_app(config, source, exposure),
        access_log=None,
        handler_cancellation=True,  # a browser that goes away takes its call along
        auto_decompress=False,  # a few bytes could become gigabytes
        keepalive_timeout=config.keepalive_seconds,
        max_line_size=8 * 1024,
        max_field_size=8 * 1024,
        max_headers=64,
        shutdown_timeout=config.grace_seconds,
    )
    await runner.setup()
    new_connection = cast("web.Server", runner.server)

    def accept() -> asyncio.BaseProtocol:
        is_full = len(new_connection.connections) >= config.max_connections
        return _Dropped() if is_full else new_connection()

    server = await loop.create_server(accept, sock=bound, backlog=_BACKLOG)
    showing = asyncio.create_task(_show_alive(config.alive_file))
    # The last line of a start: what the service has to log now, it logs before this is called.
    loop.call_soon(_say, f"Open {exposure.address}")
    try:
        yield address
    finally:
        server.close()
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        await runner.cleanup()


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        why = os.strerror(error.errno or 0)  # its own text has the address once more
        raise StartError(
            f"Cannot listen on {address} ({why}): another program may have the port, or the host "
            "is not one of this machine's. Set CONSOLE_LISTEN."
        ) from error


async def _show_alive(path: Path | None) -> None:
    if path:
        await show_alive(path)


def _say(line: str) -> None:
    print(line, flush=True)


def _with_port(url: str, port: int) -> str:
    """Return `url` with the port that is listened on, unless it names another to be found at."""
    return url if urlsplit(url).port is not None else f"{url}:{port}"


class _Dropped(asyncio.Protocol):
    """A connection beyond the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        cast("asyncio.Transport", transport).abort()
