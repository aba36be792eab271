"""The video queue's settings: read once from the environment, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from mtls.address import Address

from runtime.environment import Environment
from video_queue.domain.videos import Limits

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """README.md says what each setting is for; times are in seconds."""

    listen: Address
    metrics: Address | None
    identity: Path
    data: Path
    database_url: str = field(repr=False)  # may hold a password
    limits: Limits
    quota_bytes: int
    max_waiting: int
    idle_seconds: float
    lease_seconds: int
    max_attempts: int
    max_connections: int
    handshake_seconds: float
    max_connection_idle_seconds: int
    max_connection_age_seconds: int
    grace_seconds: float
    log_format: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        data = env.path("VIDEO_QUEUE_DATA").absolute()
        sqlite = f"sqlite:///{data / 'video-queue.db'}"
        return cls(
            listen=env.address("VIDEO_QUEUE_LISTEN", "127.0.0.1:50051"),
            metrics=env.optional_address("VIDEO_QUEUE_METRICS"),
            identity=env.path("VIDEO_QUEUE_IDENTITY"),
            data=data,
            database_url=env.text("VIDEO_QUEUE_DATABASE_URL", sqlite),
            limits=Limits(
                upload_bytes=env.integer("VIDEO_QUEUE_MAX_UPLOAD_BYTES", 4 * _GIB, minimum=1),
                title_length=env.integer("VIDEO_QUEUE_MAX_TITLE_LENGTH", 200, minimum=1),
                description_length=env.integer("VIDEO_QUEUE_MAX_DESCRIPTION_LENGTH", 5000),
                rendition_bytes=env.integer("VIDEO_QUEUE_MAX_RENDITION_BYTES", 4 * _GIB, minimum=1),
                renditions=env.integer("VIDEO_QUEUE_MAX_RENDITIONS", 16, minimum=1, maximum=100),
            ),
            quota_bytes=env.integer("VIDEO_QUEUE_QUOTA_BYTES", 50 * _GIB, minimum=1),
            max_waiting=env.integer("VIDEO_QUEUE_MAX_WAITING", 500, minimum=1),
            idle_seconds=env.seconds("VIDEO_QUEUE_IDLE_SECONDS", 30, minimum=0.1),
            lease_seconds=env.integer("VIDEO_QUEUE_LEASE_SECONDS", 30, minimum=1, maximum=86_400),
            max_attempts=env.integer("VIDEO_QUEUE_MAX_ATTEMPTS", 3, minimum=1, maximum=100),
            max_connections=env.integer("VIDEO_QUEUE_MAX_CONNECTIONS", 1000, minimum=1),
            handshake_seconds=env.seconds("VIDEO_QUEUE_HANDSHAKE_SECONDS", 10, minimum=0.1),
            max_connection_idle_seconds=env.integer(
                "VIDEO_QUEUE_MAX_CONNECTION_IDLE_SECONDS", 300, minimum=1, maximum=86_400
            ),
            max_connection_age_seconds=env.integer(
                "VIDEO_QUEUE_MAX_CONNECTION_AGE_SECONDS", 3600, minimum=1, maximum=86_400
            ),
            grace_seconds=env.seconds("VIDEO_QUEUE_SHUTDOWN_GRACE_SECONDS", 20, maximum=600),
            log_format=env.choice("LOG_FORMAT", ("console", "json"), "console"),
        )
