"""Listening: the limits on connections, and the end of the server without broken requests."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, cast

from mtls.address import Address
from mtls.connection_limiter import Limits
from mtls.http_listener import ListenError, listening
from mtls.identity_source import IdentitySource
from mtls.reporting.metrics_endpoint import serving_metrics

from aiohttp import web

from gateway.app import create_app
from gateway.config import Config
from gateway.videos.routes import add_videos
from runtime.errors import StartError

_LINGER_SECONDS: Final = 5  # to read on after an early refusal, so that the client gets to see it


@asynccontextmanager
async def serving(config: Config, source: IdentitySource) -> AsyncIterator[Address]:
    """Serve as the identity in force; yield the address, with the real port when that is 0.

    At the end no connection is accepted any more, and requests get `grace_seconds` to finish.
    Raises `StartError`.
    """
    app = create_app(config, source)
    add_videos(app)  # in its place, add routes of your own
    runner = web.AppRunner(
        app,
        access_log=None,  # every failure is logged; a line for each success costs a quarter more
        handler_cancellation=True,  # a client that goes away takes its call to the queue along
        auto_decompress=False,  # a few bytes could become gigabytes
        keepalive_timeout=config.keepalive_seconds,
        lingering_time=_LINGER_SECONDS,
        max_line_size=8 * 1024,
        max_field_size=8 * 1024,
        max_headers=64,
        shutdown_timeout=config.grace_seconds,
    )
    try:
        async with serving_metrics(config.metrics, source):
            await runner.setup()
            server = cast("web.Server", runner.server)  # now it has one
            try:
                async with _listening(server, config, source) as address:
                    yield address
            finally:
                await runner.cleanup()
    except ListenError as error:
        raise StartError(f"{error} Set GATEWAY_LISTEN or GATEWAY_METRICS.") from error


def _listening(
    server: web.Server, config: Config, source: IdentitySource
) -> AbstractAsyncContextManager[Address]:
    limits = Limits(
        max_connections=config.max_connections,
        max_connections_per_address=config.max_connections_per_address,
        handshake_seconds=config.handshake_seconds,
        # A connection that has reached its maximum age ends with the response that is under way.
        max_age_seconds=config.max_connection_age_seconds + config.request_seconds,
    )
    return listening(config.listen, source, server, limits)
