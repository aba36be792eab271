"""Starts the gateway: `python -m gateway`, configured by the environment (README.md)."""

import asyncio
import os
import signal
import sys

from mtls.certificates import Role
from mtls.identity import IdentityError
from mtls.identity_watch import watching
from mtls.reporting.events import configure_logging, report_refusals

import structlog
import uvloop

from gateway.config import Config
from gateway.errors import StartError
from gateway.server import serving
from runtime.environment import ConfigurationError

_log = structlog.get_logger(__name__)


async def serve(config: Config) -> None:
    """Serve until SIGTERM (containers) or SIGINT (Ctrl+C)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        watching(config.identity, roles=frozenset({Role.SERVER, Role.CLIENT})) as source,
        serving(config, source) as address,
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
    with report_refusals("grpc_client"):  # gRPC serves nobody here
        configure_logging(config.log_format)
        try:
            uvloop.run(serve(config))
        except (IdentityError, StartError) as error:
            _log.error("server.cannot_start", reason=str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
