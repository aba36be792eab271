"""The gRPC server: its start, its limits, and its end. It knows nothing of what is served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from mtls import Address, IdentitySource, ListenError, add_mtls_port, authorize_calls
from mtls.grpc_server import MAX_METADATA_BYTES
from mtls.reporting import serving_metrics

import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from runtime.alive import alive_file
from runtime.errors import StartError
from video_queue.audit import add_audit
from video_queue.config import Config
from video_queue.maintenance import Health, Service, maintain
from video_queue.policy import ALLOWED, CALLERS, METRICS_READERS

# More than the gateway needs for all watches, uploads and downloads and its short calls.
MAX_CALLS_PER_IDENTITY: Final = 800
# Room for every identity of the policy, and for calls that are being refused: gRPC turns away what
# is beyond without asking whose it is, a heartbeat too.
_MAX_CONCURRENT_CALLS: Final = MAX_CALLS_PER_IDENTITY * (len(CALLERS) + 1)
# A call that is under way when its connection reaches its maximum age may go on for so long. A
# large upload over a slow network takes that long, and the gateway ends every call by then.
_CONNECTION_AGE_GRACE_SECONDS: Final = 3600


@asynccontextmanager
async def running(
    config: Config, identity: IdentitySource, service: Service
) -> AsyncIterator[Address]:
    """Serve while the body runs; yield the address that is listened to.

    At the end no new call is accepted, and calls under way have the time of grace to finish.
    Raises `StartError` or `ListenError`.
    """
    async with (
        serving_metrics(config.metrics, identity, METRICS_READERS),
        _serving(config, identity, service) as address,
    ):
        yield address


@asynccontextmanager
async def _serving(
    config: Config, identity: IdentitySource, service: Service
) -> AsyncIterator[Address]:
    health = Health(service.name)
    await health.set_serving(serving=True)

    server = grpc.aio.server(
        interceptors=[
            authorize_calls(identity, ALLOWED, max_calls_per_identity=MAX_CALLS_PER_IDENTITY)
        ],
        options=_options(config),
        maximum_concurrent_rpcs=_MAX_CONCURRENT_CALLS,
    )
    service.add_to(server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    add_audit(server, identity)
    try:
        address = add_mtls_port(server, config.listen, identity)
    except ListenError as error:
        raise StartError(f"{error} Set VIDEO_QUEUE_LISTEN.") from error
    await server.start()
    with alive_file(config.alive_file) as file:
        maintenance = asyncio.create_task(maintain(service.maintain, health, file))
        try:
            yield address
        finally:
            await health.servicer.enter_graceful_shutdown()  # first, so that no new client comes
            service.stop_waiting()
            await server.stop(config.grace_seconds)
            maintenance.cancel()
            with suppress(asyncio.CancelledError):
                await maintenance


def _options(config: Config) -> list[tuple[str, int]]:
    """Return the settings of the C-core; grpc/impl/channel_arg_names.h lists them all."""
    return [
        # A chunk of a video is smaller: so much a call can make us hold in memory.
        ("grpc.max_receive_message_length", 1024 * 1024),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        # So much of an upload may lie here unread. Left to itself the C-core widens the window of a
        # fast connection, and was seen to hold 5 MiB for each upload.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 512 * 1024),
        # All connections together, those in their handshake included. One more is closed at once,
        # and the C-core logs nothing. Without this limit the file descriptors run out, and then
        # neither a video nor the database can be opened. The C-core has no limit per address.
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        # Calls that one connection may have open; the gateway has one connection for all its calls.
        ("grpc.max_concurrent_streams", 1000),
        # Then a peer has to connect, and be verified, again.
        ("grpc.max_connection_age_ms", config.max_connection_age_seconds * 1000),
        ("grpc.max_connection_age_grace_ms", _CONNECTION_AGE_GRACE_SECONDS * 1000),
        # A client that finishes neither TLS nor the preface of HTTP/2 takes one of the connections
        # for so long; the default is 120 s.
        ("grpc.server_handshake_timeout_ms", round(config.handshake_seconds * 1000)),
        # A client that has finished both and calls nothing. It connects again when it has to.
        ("grpc.max_connection_idle_ms", config.max_connection_idle_seconds * 1000),
        # A peer that vanished without closing its connection is noticed, and its calls end.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Peers may send so many HTTP/2 pings; the connection of one that sends more is closed.
        # (Floods of resets and of SETTINGS are bounded by the C-core itself: it answers some, and
        # then stops reading until the answers are taken.)
        ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
        # With it a second server on the same port would get half of the connections, unnoticed.
        ("grpc.so_reuseport", 0),
    ]
