"""Starts a transcoder: `python -m transcoder`, configured by the environment (README.md)."""

import asyncio
import os
import signal
import sys
from contextlib import suppress

from mtls.certificates import Role
from mtls.identity import IdentityError
from mtls.identity_watch import watching
from mtls.reporting.events import configure_logging, report_refusals

import structlog
import uvloop

from runtime.environment import ConfigurationError
from transcoder.config import Config
from transcoder.queue_client import QueueClient, open_channel
from transcoder.scratch import StartError, scratch_folder
from transcoder.worker import Worker

_log = structlog.get_logger(__name__)


async def work(config: Config) -> None:
    """Work until SIGTERM (containers) or SIGINT (Ctrl+C); what is begun is left to others."""
    with scratch_folder(config.work) as folder:
        async with (
            watching(config.identity, roles=frozenset({Role.CLIENT})) as source,
            open_channel(config, source) as channel,
        ):
            worker = asyncio.create_task(Worker(QueueClient(channel, config), folder, config).run())
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, worker.cancel)
            me = source.current
            _log.info(
                "worker.started",
                queue=str(config.queue),
                identity=str(me.spiffe_id),
                serial=me.serial,
            )
            with suppress(asyncio.CancelledError):
                await worker
    _log.info("worker.stopped")


def main() -> int:
    """Run the service; return the exit code."""
    try:
        config = Config.from_environment(os.environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    with report_refusals("grpc_client"):  # gRPC serves nobody here
        configure_logging(config.log_format)
        try:
            uvloop.run(work(config))
        except (IdentityError, StartError) as error:
            _log.error("worker.cannot_start", reason=str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
