"""Puts the server together from its config and identity, and takes it apart again in order."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mtls.address import Address
from mtls.grpc_authorization import MAX_METADATA_BYTES, AuthorizationInterceptor
from mtls.grpc_endpoint import server_credentials
from mtls.identity_source import IdentitySource
from mtls.policy import Policy
from mtls.reporting.metrics_endpoint import serving_metrics

import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc

from runtime.errors import StartError
from video_queue.api.servicer import Servicer
from video_queue.config import Config
from video_queue.domain.videos import Clock
from video_queue.errors import CatalogUnavailable
from video_queue.maintenance import keep_house, set_health
from video_queue.policy import ALLOWED
from video_queue.storage.store import Store, opened
from videoqueue_api.v1.video_queue_pb2_grpc import add_VideoQueueServicer_to_server

_MAX_CONCURRENT_CALLS: Final = 2000
# A call that is under way when its connection comes of age may last so much longer: a large upload
# over a slow line does, and the gateway ends every call by then.
_CONNECTION_AGE_GRACE_SECONDS: Final = 3600


def utc_now() -> dt.datetime:
    """Return the time of the machine's clock."""
    return dt.datetime.now(dt.UTC)


@asynccontextmanager
async def running(
    config: Config, source: IdentitySource, *, clock: Clock = utc_now
) -> AsyncIterator[Address]:
    """Serve while the body runs; yield the address that is listened to.

    At the end no new call is taken, those under way are given the time of grace, and what has been
    begun in the store is finished. Raises `StartError` or `ListenError`.
    """
    try:
        async with (
            serving_metrics(config.metrics, source),
            opened(config, clock) as store,
            _serving(config, source, store) as address,
        ):
            yield address
    except CatalogUnavailable as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def _serving(config: Config, source: IdentitySource, store: Store) -> AsyncIterator[Address]:
    servicer = Servicer(store, config)
    health_servicer = health.aio.HealthServicer()
    await set_health(health_servicer, serving=True)  # the database has just answered

    policy = Policy(source.current.spiffe_id.trust_domain, ALLOWED)
    server = grpc.aio.server(
        interceptors=[AuthorizationInterceptor(policy, source)],
        options=_options(config),
        maximum_concurrent_rpcs=_MAX_CONCURRENT_CALLS,
    )
    add_VideoQueueServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    try:
        port = server.add_secure_port(str(config.listen), server_credentials(source))
    except RuntimeError as error:
        raise StartError(
            f"Cannot listen on {config.listen}: another program may have the port, or the host is "
            "not one of this machine's. Set VIDEO_QUEUE_LISTEN."
        ) from error
    await server.start()
    housekeeping = asyncio.create_task(keep_house(store.work, health_servicer))
    try:
        yield Address(config.listen.host, port)
    finally:
        await health_servicer.enter_graceful_shutdown()  # first, so that nobody new comes
        store.notifier.close()
        await server.stop(config.grace_seconds)
        housekeeping.cancel()
        with suppress(asyncio.CancelledError):
            await housekeeping


def _options(config: Config) -> list[tuple[str, int]]:
    """Return the settings of the C-core; grpc/impl/channel_arg_names.h lists them all."""
    return [
        # A chunk of a video, and no more: what a call can make us hold in memory.
        ("grpc.max_receive_message_length", 1024 * 1024),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        # All connections together, those in their handshake included; one more is closed at once,
        # and nothing says so. Without it they end where the file descriptors do, and then neither
        # a video nor the database can be opened. The C-core has no limit per address.
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        # Calls that one connection may have open; the gateway has one connection for all its calls.
        ("grpc.max_concurrent_streams", 1000),
        # A peer comes back and is verified again: an open connection outlives its certificate.
        ("grpc.max_connection_age_ms", config.max_connection_age_seconds * 1000),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_AGE_GRACE_SECONDS * 1000),
        # Whoever connects and finishes neither TLS nor the greeting of HTTP/2 holds a place for so
        # long; the default is 120 s.
        ("grpc.server_handshake_timeout_ms", round(config.handshake_seconds * 1000)),
        # Whoever has finished both and calls nothing; a client of gRPC comes back when it has to.
        ("grpc.max_connection_idle_ms", config.max_connection_idle_seconds * 1000),
        # A peer that vanished without a word is noticed, and what it held is let go.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Peers may ask as often whether we are there; those who ask more are sent away. (For taking
        # back calls as fast as they are made, and for changes of settings, the C-core has bounds of
        # its own: it answers so many, and then stops reading until the answers are taken.)
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        # A second server on the same port would quietly get half of the connections.
        ("grpc.so_reuseport", 0),
    ]
