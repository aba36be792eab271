"""Starts the video queue: `python -m video_queue`, configured by the environment (README.md)."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mtls import Address, IdentitySource, Role

from runtime.service import run_service
from video_queue.api.service import open_service
from video_queue.config import Config
from video_queue.server import running


@asynccontextmanager
async def serving(config: Config, identity: IdentitySource) -> AsyncIterator[Address]:
    """Serve while the body runs; yield the address that is listened to."""
    async with (
        open_service(config.service, identity) as service,
        running(config, identity, service) as address,
    ):
        yield address


def main() -> int:
    """Run the service; return the exit code."""
    return run_service(Config, serving, Role.SERVER, serves_grpc=True)


if __name__ == "__main__":
    sys.exit(main())
