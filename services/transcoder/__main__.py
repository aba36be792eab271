"""Starts a transcoder: `python -m transcoder`, configured by the environment (README.md)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from mtls import IdentitySource, Role

from runtime.alive import show_alive
from runtime.service import run_service
from transcoder.config import Config
from transcoder.media import JOB
from transcoder.queue_client import QueueClient
from transcoder.sandbox.orphans import adopt_orphans
from transcoder.sandbox.supervisor import check_sandbox, run_job
from transcoder.scratch import scratch_folder
from transcoder.worker import Worker
from videoqueue_client.channel import queue_channel


@asynccontextmanager
async def working(config: Config, identity: IdentitySource) -> AsyncIterator[None]:
    """Work while the body runs; a video that is under way at the end is left to other workers."""
    check_sandbox(is_required=config.needs_sandbox)
    with scratch_folder(config.work) as folder:
        async with (
            queue_channel(config.queue, identity) as channel,
            asyncio.TaskGroup() as tasks,
        ):
            client, transcode = QueueClient(channel, config), partial(run_job, JOB)
            work = [tasks.create_task(Worker(client, folder, config, transcode).run())]
            if config.alive_file:
                work.append(tasks.create_task(show_alive(config.alive_file)))
            yield
            for task in work:
                task.cancel()


def main() -> int:
    """Run the service; return the exit code."""
    adopt_orphans()
    return run_service(Config, working, Role.CLIENT, started="worker.started")


if __name__ == "__main__":
    sys.exit(main())
