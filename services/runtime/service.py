"""Runs a service from its settings to its exit code: all that `__main__.py` has to do.

    def main() -> int:
        return run_service(Config, serving, Role.SERVER)

This is an entry point: it changes what belongs to the whole process (logging, signal handlers,
standard error). Nothing else in a service does.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol, Self, TypeVar

from mtls import Address, IdentitySource, MtlsError, Role, watch_identity
from mtls.reporting import Reporter, configure_logging

import structlog
import uvloop

from runtime.environment import Environment
from runtime.errors import ConfigurationError

_log = structlog.get_logger(__name__)


_LEVELS: Final = {"info": logging.INFO, "debug": logging.DEBUG}


class Settings(Protocol):
    """What every service has in its `Config`."""

    @property
    def identity(self) -> Path:
        """The folder with the certificate, its key and the trust bundle."""

    @property
    def log_format(self) -> str:
        """`console` for people, `json` for programs."""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`."""


_Settings = TypeVar("_Settings", bound=Settings)
# Serves while the body runs; yields where it listens, None if it does not listen.
Serving = Callable[[_Settings, IdentitySource], AbstractAsyncContextManager[Address | None]]


def run_service(
    settings: type[_Settings],
    serving: Serving[_Settings],
    *roles: Role,
    started: str = "server.listening",
    serves_grpc: bool = False,
) -> int:
    """Serve until SIGTERM (containers) or SIGINT (Ctrl+C); return the exit code.

    0 after a signal; 2 with one line on standard error when a variable is wrong; 1 with a line in
    the log when the service cannot start. `started` is the event that says that it has.

    With LOG_LEVEL=debug there is a line for each call that was answered. NEXT_STEP is logged when
    the service has started: it says what a person can do now.
    """
    environment = Environment(os.environ)
    try:
        config = settings.from_environment(environment.variables)
        lists = environment.choice("REVOCATION_LISTS", ("required", "optional"), "required")
        level = environment.choice("LOG_LEVEL", tuple(_LEVELS), "info")
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    noun = started.partition(".")[0]
    reporter = Reporter()

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with (
            watch_identity(
                config.identity,
                *roles,
                observer=reporter,
                require_revocation_lists=lists == "required",
            ) as identity,
            serving(config, identity) as address,
        ):
            me = identity.current
            listening = {"address": str(address)} if address else {}
            _log.info(started, **listening, identity=str(me.spiffe_id), serial=me.serial)
            if next_step := environment.variables.get("NEXT_STEP"):
                _log.info("next", step=next_step)
            await stop.wait()
            _log.info(f"{noun}.stopping")
        _log.info(f"{noun}.stopped")

    # The C-core does not say on which side of a refused handshake it stood.
    with reporter.reading_core_log("grpc" if serves_grpc else "grpc_client"):
        configure_logging(config.log_format, level=_LEVELS[level])
        try:
            uvloop.run(serve())
        except MtlsError as error:
            _log.error(f"{noun}.cannot_start", reason=str(error))
            return 1
    return 0
