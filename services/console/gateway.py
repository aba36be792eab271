"""Calls to the gateway as `console`, over mutual TLS; each is passed through while it arrives."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from mtls import IdentitySource

import aiohttp
from aiohttp import hdrs, web

from console.config import Config
from console.errors import TookTooLong, Unreachable
from console.sight import GATEWAY, Sight

_CHUNK_BYTES: Final = 64 * 1024
_MAX_CONNECTIONS: Final = 64
# What of a request is the gateway's business, and what of its answer the browser's.
_ASKED: Final = (
    hdrs.ACCEPT,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_TYPE,
    hdrs.IF_NONE_MATCH,
    hdrs.IF_RANGE,
    hdrs.RANGE,
    "Idempotency-Key",
    "Last-Event-ID",
)
_ANSWERED: Final = (
    hdrs.ACCEPT_RANGES,
    hdrs.CACHE_CONTROL,
    hdrs.CONTENT_DISPOSITION,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_RANGE,
    hdrs.CONTENT_TYPE,
    hdrs.ETAG,
    hdrs.RETRY_AFTER,
)


class GatewayClient:
    """Sends requests to the gateway, each with the certificate of that moment."""

    def __init__(
        self, session: aiohttp.ClientSession, config: Config, source: IdentitySource, sight: Sight
    ) -> None:
        self._session, self._config, self._source = session, config, source
        self._sight = sight

    @asynccontextmanager
    async def request(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the gateway's response. Raises `Unreachable`, or `TookTooLong`."""
        url, context = f"https://{self._config.gateway}{path}", self._source.client_context
        try:
            async with self._session.request(
                method, url, ssl=context, allow_redirects=False, **options
            ) as response:
                yield response
        except aiohttp.ServerTimeoutError as error:
            raise TookTooLong(
                "The gateway sent nothing for too long.", tried=f"{method} {url}"
            ) from error
        except aiohttp.ClientError as error:
            raise await self._explain(f"{method} {url}", error) from error

    async def _explain(self, tried: str, error: aiohttp.ClientError) -> Unreachable:
        """Look where the library says only that it did not work."""
        found = await self._sight.look_at(GATEWAY)
        return Unreachable(
            f"The gateway at {self._config.gateway} does not answer: {found.error}.",
            fix=found.advice,
            tried=f"{tried} ({type(error).__name__}), then a handshake ({found.cause})",
        )

    async def relay(self, request: web.Request, path: str) -> web.StreamResponse:
        """Pass `request` on to `path`, and the answer back, chunk by chunk.

        The next chunk is read when the one before was taken, so a slow side slows the other down,
        and no more than a few chunks are ever held.
        """
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        options: dict[str, Any] = {"headers": headers, "params": request.query}
        if request.can_read_body:
            # The gateway judges what it can before it lets us send gigabytes (RFC 9110, 10.1.1).
            options |= {"data": self._body_of(request), "expect100": True}
        async with self.request(request.method, path, **options) as answer:
            response = web.StreamResponse(status=answer.status, headers=_headers_of(answer))
            if request.can_read_body and not request.content.at_eof():
                response.force_close()  # it was answered before all was sent: nobody reads the rest
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await self._copy(answer, response)
            return response

    async def _copy(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        while chunk := await answer.content.readany():
            async with _within(self._config.idle_seconds, "The browser took nothing for too long."):
                try:
                    await response.write(chunk)
                except aiohttp.ClientConnectionResetError as error:
                    # The browser has gone: aiohttp says it with the error of a client of its own.
                    raise ConnectionAbortedError from error

    async def _body_of(self, request: web.Request) -> AsyncIterator[bytes]:
        while True:
            async with _within(self._config.idle_seconds, "The browser sent nothing for too long."):
                chunk = await request.content.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


@asynccontextmanager
async def _within(seconds: float, message: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TookTooLong(message) from None


def _headers_of(answer: aiohttp.ClientResponse) -> Mapping[str, str]:
    return {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}


@asynccontextmanager
async def open_gateway(
    config: Config, source: IdentitySource, sight: Sight
) -> AsyncIterator[GatewayClient]:
    """Yield the client of the gateway, and close its connections at the end."""
    timeout = aiohttp.ClientTimeout(
        total=config.request_seconds,
        sock_connect=config.call_seconds,
        sock_read=config.idle_seconds,
    )
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
        timeout=timeout,
        auto_decompress=False,
        read_bufsize=_CHUNK_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield GatewayClient(session, config, source, sight)
