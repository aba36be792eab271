"""The settings of everything about videos, as a part of gateway.config."""

from dataclasses import dataclass
from typing import Self

from mtls.address import Address

from runtime.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """README.md says what each setting is for; times are in seconds."""

    queue: Address
    max_upload_bytes: int
    max_uploads: int
    max_downloads: int
    max_streams: int
    call_seconds: float
    idle_seconds: float
    heartbeat_seconds: float

    @classmethod
    def from_environment(cls, env: Environment) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        return cls(
            queue=env.address("GATEWAY_QUEUE"),
            max_upload_bytes=env.integer("GATEWAY_MAX_UPLOAD_BYTES", 2 * 1024**3, minimum=1),
            max_uploads=env.integer("GATEWAY_MAX_UPLOADS", 32, minimum=1),
            max_downloads=env.integer("GATEWAY_MAX_DOWNLOADS", 64, minimum=1),
            max_streams=env.integer("GATEWAY_MAX_STREAMS", 200, minimum=1),
            call_seconds=env.seconds("GATEWAY_CALL_SECONDS", 5, minimum=0.1),
            idle_seconds=env.seconds("GATEWAY_IDLE_SECONDS", 30, minimum=0.1),
            heartbeat_seconds=env.seconds("GATEWAY_HEARTBEAT_SECONDS", 15, minimum=0.01),
        )
