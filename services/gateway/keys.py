"""What the handlers find in the application."""

import asyncio
from typing import Final

from aiohttp import web

from gateway.config import Config
from gateway.queue_client import QueueClient

CONFIG: Final = web.AppKey("CONFIG", Config)
QUEUE: Final = web.AppKey("QUEUE", QueueClient)
STOPPING: Final = web.AppKey("STOPPING", asyncio.Event)  # set when the server begins to shut down
