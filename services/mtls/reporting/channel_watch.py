"""Saying why a gRPC channel does not connect, where the library says but `UNAVAILABLE`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from mtls.address import Address
from mtls.identity import Identity
from mtls.reporting.connection_probe import Finding, probe
from mtls.ssl_contexts import client_context

import grpc
import grpc.aio
import structlog

_log = structlog.get_logger(__name__)

_EVERY_SECONDS: Final = 30.0


@asynccontextmanager
async def explaining_failures(
    channel: grpc.aio.Channel,
    address: Address,
    identity: Identity,
    *,
    every_seconds: float = _EVERY_SECONDS,
) -> AsyncIterator[None]:
    """While the body runs, log `connection.failed` when `channel` cannot reach `address`.

    The server is asked at once and then, as long as the failure lasts, every `every_seconds`.
    """
    look = partial(probe, address, client_context(identity, protocols=("h2",)))
    watching = asyncio.create_task(_watch(channel, address, look, every_seconds))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(
    channel: grpc.aio.Channel,
    address: Address,
    look: Callable[[], Awaitable[Finding]],
    every_seconds: float,
) -> None:
    while (state := channel.get_state()) is not grpc.ChannelConnectivity.SHUTDOWN:
        if state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await channel.wait_for_state_change(state)
            continue
        finding = await look()
        _log.warning(
            "connection.failed",
            address=str(address),
            cause=finding.cause.value,
            words=finding.words,
            advice=finding.advice,
        )
        await asyncio.sleep(every_seconds)
