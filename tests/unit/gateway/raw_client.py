"""An HTTP client that can do what a well-behaved one does not: stop in the middle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from mtls.ssl_contexts import client_context

from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.forms import BOUNDARY

_PIECE_BYTES = 64 * 1024
_SECONDS = 60


@dataclass
class RawClient:
    """A TLS connection to the gateway; `sent_bytes` are those of bodies."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent_bytes: int = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, gateway: Gateway, name: str = "client/uploader") -> AsyncIterator[Self]:
        """Connect with the certificate of that name, for a minute at most."""
        context = client_context(gateway.identities[name])
        host, port = gateway.address.host, gateway.address.port
        async with asyncio.timeout(_SECONDS):
            client = cls(*await asyncio.open_connection(host, port, ssl=context))
            try:
                yield client
            finally:
                client.writer.transport.abort()

    async def post_headers(self, length: int, *more: str, content_type: str = "") -> None:
        """Begin an upload whose body has this length."""
        form = f"multipart/form-data; boundary={BOUNDARY}"
        lines = [
            "POST /videos HTTP/1.1",
            "Host: gateway",
            f"Content-Type: {content_type or form}",
            f"Content-Length: {length}",
            *more,
        ]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def post(
        self, body: bytes, *, length_to_send: int | None = None, content_type: str = ""
    ) -> None:
        """Send a body, or only the first bytes of it."""
        await self.post_headers(len(body), content_type=content_type)
        to_send = memoryview(body)[:length_to_send]
        for start in range(0, len(to_send), _PIECE_BYTES):
            piece = to_send[start : start + _PIECE_BYTES]
            self.writer.write(piece)
            await self.writer.drain()
            self.sent_bytes += len(piece)

    async def head(self) -> str:
        """Return the status line and the headers of the next response."""
        async with asyncio.timeout(20):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def status(self) -> int:
        """Return the status of the next response, and skip its headers."""
        return int((await self.head()).split(" ", 2)[1])
