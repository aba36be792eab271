"""A bad line between two services: a TCP proxy that delays, holds back, and cuts.

It stands in for `tc qdisc ... netem`, which not every kernel has ("Specified qdisc kind is
unknown."). What TCP makes of a lost packet is a pause, until it is sent again: so that is what is
made here. TLS goes through untouched.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

_PIECE_BYTES: Final = 16 * 1024
_SENT_AGAIN_SECONDS: Final = 0.2  # the shortest retransmission timeout that Linux has


class Line:
    """Between the clients of `address` and the server at `to`, both host:port."""

    def __init__(self, to: str, delay_seconds: float, lost: float) -> None:
        self._to, self._delay_seconds, self._lost = to, delay_seconds, lost
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""
        self.carried_bytes = 0

    @classmethod
    @asynccontextmanager
    async def laid(
        cls, to: str, *, delay_seconds: float = 0, lost: float = 0
    ) -> AsyncIterator[Self]:
        """Yield a line that delays every piece, and loses that share of them at first."""
        line = cls(to, delay_seconds, lost)
        server = await asyncio.start_server(line._connect, "127.0.0.1", 0)
        line.address = f"localhost:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield line
            line.cut()

    def hold(self) -> None:
        """Let nothing through from now on, in either direction, and tell nobody."""
        self._open.clear()

    def release(self) -> None:
        """Go on with what was held back."""
        self._open.set()

    def cut(self) -> None:
        """Reset every connection, and hold nothing back from those that come next."""
        for writer in self._writers:
            writer.transport.abort()
        self.release()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._to.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:  # nobody listens
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        try:
            with suppress(OSError):
                await asyncio.gather(
                    self._carry(reader, far_writer), self._carry(far_reader, writer)
                )
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE_BYTES):
            await self._open.wait()
            is_lost = random.random() < self._lost  # noqa: S311  no secret
            await asyncio.sleep(self._delay_seconds + is_lost * _SENT_AGAIN_SECONDS)
            writer.write(piece)
            await writer.drain()
            self.carried_bytes += len(piece)
        raise ConnectionResetError
