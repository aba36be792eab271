"""What a server serves, what is done for it once a second, and the health that follows from it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2

from runtime.alive import AliveFile
from video_queue.errors import VideoQueueError

_log = structlog.get_logger(__name__)

_INTERVAL_SECONDS: Final = 1
_TIMEOUT_SECONDS: Final = 5


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Service:
    """What is served. Only `name`, as health checks ask for it, and `add_to` are needed."""

    name: str
    add_to: Callable[[grpc.aio.Server], None]
    maintain: Callable[[], Awaitable[None]] = _nothing
    """Called once a second. Raises a `VideoQueueError` while the service cannot do its work."""
    stop_waiting: Callable[[], None] = lambda: None
    """Called when the server stops: ends the calls that wait for something."""


class Health:
    """Answers grpc.health.v1 for `service`, and for the whole server, whose name is empty."""

    def __init__(self, service: str) -> None:
        self.servicer = health.aio.HealthServicer()
        self._names = ("", service)

    async def set_serving(self, *, serving: bool) -> None:
        """Say whether this server can do its work."""
        answer = health_pb2.HealthCheckResponse
        for name in self._names:
            await self.servicer.set(name, answer.SERVING if serving else answer.NOT_SERVING)


async def maintain(work: Callable[[], Awaitable[None]], health: Health, file: AliveFile) -> None:
    """Do `work` once a second until cancelled; the server is healthy while that succeeds.

    `file` shows it too, to a health check without a certificate.
    """
    was_serving = True
    while True:
        is_serving = await _succeeds(work)
        if is_serving != was_serving:
            _log.info("health.changed", serving=is_serving)
        await health.set_serving(serving=is_serving)
        file.show(alive=is_serving)
        was_serving = is_serving
        await asyncio.sleep(_INTERVAL_SECONDS)


async def _succeeds(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await work()
    except (VideoQueueError, TimeoutError):
        return False
    except Exception:  # noqa: BLE001  an unexpected error must not end the maintenance
        _log.exception("maintenance.failed")
        return False
    return True
