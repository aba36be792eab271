"""Starts the video queue: `python -m video_queue`, configured by the environment (README.md)."""

import asyncio
import os
import signal
import sys

from mtls.certificates import Role
from mtls.errors import MtlsError
from mtls.identity_watch import watching
from mtls.reporting.events import configure_logging, report_refusals

import structlog
import uvloop

from runtime.environment import ConfigurationError
from video_queue.config import Config
from video_queue.errors import VideoQueueError
from video_queue.server import running

_log = structlog.get_logger(__name__)


async def serve(config: Config) -> None:
    """Serve until SIGTERM (containers) or SIGINT (Ctrl+C)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        watching(config.identity, roles=frozenset({Role.SERVER})) as source,
        running(config, source) as address,
    ):
        me = source.current
        _log.info(
            "server.listening", address=str(address), identity=str(me.spiffe_id), serial=me.serial
        )
        await stop.wait()
        _log.info("server.stopping", grace_seconds=config.grace_seconds)
    _log.info("server.stopped")


def main() -> int:
    """Run the service; return the exit code."""
    try:
        config = Config.from_environment(os.environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    with report_refusals():
        configure_logging(config.log_format)
        try:
            uvloop.run(serve(config))
        except (MtlsError, VideoQueueError) as error:
            _log.error("server.cannot_start", reason=str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
