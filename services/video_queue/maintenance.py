"""What is done once a second: look for lost leases, and with it whether the database answers."""

import asyncio
from typing import Final

import structlog
from grpc_health.v1 import health, health_pb2

from video_queue.domain.work import Work
from video_queue.errors import CallError

_log = structlog.get_logger(__name__)

# The names of what the health service is asked about; "" is the whole server.
HEALTH_NAMES: Final = ("", "videoqueue.v1.VideoQueue")

_INTERVAL_SECONDS: Final = 1
_PATIENCE_SECONDS: Final = 5


async def set_health(servicer: health.aio.HealthServicer, *, serving: bool) -> None:
    """Say whether this server can do its work."""
    answer = health_pb2.HealthCheckResponse
    for name in HEALTH_NAMES:
        await servicer.set(name, answer.SERVING if serving else answer.NOT_SERVING)


async def keep_house(work: Work, servicer: health.aio.HealthServicer) -> None:
    """Run until cancelled; the server is healthy for as long as its database answers."""
    was_well = True
    while True:
        is_well = await _round(work)
        if is_well != was_well:
            _log.info("database.answers" if is_well else "database.silent")
        await set_health(servicer, serving=is_well)
        was_well = is_well
        await asyncio.sleep(_INTERVAL_SECONDS)


async def _round(work: Work) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await work.release_lost()
    except (CallError, TimeoutError):
        return False
    except Exception:  # noqa: BLE001  a surprise is no reason to stop looking
        _log.exception("housekeeping.failed")
        return False
    return True
