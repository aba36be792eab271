"""How botocore's requests are sent: by aiohttp, with the TLS context of now.

aiobotocore's own session reads certificates from files, once, and takes TLS 1.2. This one asks the
identity for its context with each request, so that a renewed certificate is used at once.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from botocore import exceptions
from yarl import URL

_SLICE_BYTES: Final = 256 * 1024
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_IDLE_SECONDS: Final = 12  # stores close idle connections after 20 s or more


class Contexts(Protocol):
    """Has the TLS context of now."""

    @property
    def value(self) -> Any:
        """An `ssl.SSLContext`."""


class MutualTlsSession:
    """What aiobotocore calls an HTTP session: it sends one request and returns the response."""

    def __init__(self, contexts: Contexts, **_of_botocore: object) -> None:
        """`_of_botocore` are its own settings: files of certificates, proxies, timeouts."""
        self._contexts = contexts
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit of connections: the calls that need one are limited themselves, and a download
        # whose client reads slowly must not keep an upload waiting.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS),
            skip_auto_headers={"Content-Type"},
            auto_decompress=False,
            read_bufsize=_SLICE_BYTES,
        )
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def send(self, request: Any) -> AioAWSResponse:
        """Send a signed request. Raises botocore's errors, which say whether to try again."""
        if self._session is None:
            raise RuntimeError("This session is closed.")
        url = request.url
        try:
            response = await self._session.request(
                request.method,
                URL(url, encoded=True),
                headers=_headers_of(request),
                data=_slices_of(request.body) if request.body else None,
                ssl=self._contexts.value,
                allow_redirects=False,
            )
            headers = {
                name.decode("ascii").lower(): value.decode("latin-1")
                for name, value in response.raw_headers
            }
            answer = AioAWSResponse(str(response.url), response.status, headers, response)
            if not request.stream_output:
                await answer.content
        except aiohttp.ClientSSLError as error:
            raise exceptions.SSLError(endpoint_url=url, error=error) from error
        except aiohttp.ClientConnectorError as error:
            raise exceptions.EndpointConnectionError(endpoint_url=url, error=error) from error
        except TimeoutError as error:
            raise exceptions.ReadTimeoutError(endpoint_url=url, error=error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise exceptions.ConnectionClosedError(endpoint_url=url, error=error) from error
        return answer


def _headers_of(request: Any) -> dict[str, str]:
    """Return the headers as texts; what is read has to be what was signed."""
    headers = {
        name: value.decode("utf-8") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    return {**headers, "Accept-Encoding": "identity"}


async def _slices_of(body: bytes | bytearray | str) -> AsyncIterator[memoryview]:
    """Yield a body in slices, so that the event loop copies little at once."""
    view = memoryview(body.encode("utf-8") if isinstance(body, str) else body)
    for start in range(0, len(view), _SLICE_BYTES):
        yield view[start : start + _SLICE_BYTES]
