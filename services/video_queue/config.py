"""The server's settings: read once from the environment, never changed.

Those that are about videos are in storage/settings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mtls.address import Address

from runtime.environment import Environment
from video_queue.api.service import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """README.md says what each setting is for; times are in seconds."""

    listen: Address
    metrics: Address | None
    identity: Path
    max_connections: int
    handshake_seconds: float
    max_connection_idle_seconds: int
    max_connection_age_seconds: int
    grace_seconds: float
    alive_file: Path | None
    log_format: str
    service: Settings

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        return cls(
            listen=env.address("VIDEO_QUEUE_LISTEN", "127.0.0.1:50051"),
            metrics=env.optional_address("VIDEO_QUEUE_METRICS"),
            identity=env.path("VIDEO_QUEUE_IDENTITY"),
            max_connections=env.integer("VIDEO_QUEUE_MAX_CONNECTIONS", 1000, minimum=1),
            handshake_seconds=env.seconds("VIDEO_QUEUE_HANDSHAKE_SECONDS", 10, minimum=0.1),
            max_connection_idle_seconds=env.integer(
                "VIDEO_QUEUE_MAX_CONNECTION_IDLE_SECONDS", 300, minimum=1, maximum=86_400
            ),
            max_connection_age_seconds=env.integer(
                "VIDEO_QUEUE_MAX_CONNECTION_AGE_SECONDS", 3600, minimum=1, maximum=86_400
            ),
            grace_seconds=env.seconds("VIDEO_QUEUE_SHUTDOWN_GRACE_SECONDS", 20, maximum=600),
            alive_file=env.optional_path("VIDEO_QUEUE_ALIVE_FILE"),
            log_format=env.choice("LOG_FORMAT", ("console", "json"), "console"),
            service=Settings.from_environment(variables),
        )
