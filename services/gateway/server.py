"""Listening: the limits on connections, and the end of the server without broken requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from mtls import Address, ConnectionLimits, IdentitySource, ListenError, listening
from mtls.reporting import serving_metrics

from gateway.app import create_app
from gateway.config import Config
from gateway.policy import METRICS_READERS
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
    limits = ConnectionLimits(
        max_connections=config.max_connections,
        max_connections_per_address=config.max_connections_per_address,
        handshake_seconds=config.handshake_seconds,
        # A connection that has reached its maximum age ends with the response that is under way.
        max_age_seconds=config.max_connection_age_seconds + config.request_seconds,
    )
    try:
        async with (
            serving_metrics(config.metrics, source, METRICS_READERS),
            listening(
                app,
                config.listen,
                source,
                limits=limits,
                handler_cancellation=True,  # a client that goes away takes its call along
                auto_decompress=False,  # a few bytes could become gigabytes
                keepalive_timeout=config.keepalive_seconds,
                lingering_time=_LINGER_SECONDS,
                max_line_size=8 * 1024,
                max_field_size=8 * 1024,
                max_headers=64,
                shutdown_timeout=config.grace_seconds,
            ) as address,
        ):
            yield address
    except ListenError as error:
        raise StartError(f"{error} Set GATEWAY_LISTEN or GATEWAY_METRICS.") from error
