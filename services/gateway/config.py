"""The gateway's settings: read once from the environment, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mtls.address import Address

from gateway.videos.settings import VideoSettings
from runtime.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """README.md says what each setting is for; times are in seconds."""

    listen: Address
    metrics: Address | None
    identity: Path
    max_connections: int
    max_connections_per_address: int
    handshake_seconds: float
    keepalive_seconds: float
    max_connection_age_seconds: float
    max_requests: int
    request_seconds: float
    grace_seconds: float
    log_format: str
    videos: VideoSettings

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        return cls(
            listen=env.address("GATEWAY_LISTEN", "127.0.0.1:8443"),
            metrics=env.optional_address("GATEWAY_METRICS"),
            identity=env.path("GATEWAY_IDENTITY"),
            max_connections=env.integer("GATEWAY_MAX_CONNECTIONS", 1000, minimum=1),
            max_connections_per_address=env.integer(
                "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", 250, minimum=1
            ),
            handshake_seconds=env.seconds("GATEWAY_HANDSHAKE_SECONDS", 10, minimum=0.1),
            keepalive_seconds=env.seconds("GATEWAY_KEEPALIVE_SECONDS", 75, minimum=0.1),
            max_connection_age_seconds=env.seconds(
                "GATEWAY_MAX_CONNECTION_AGE_SECONDS", 3600, minimum=0.1
            ),
            max_requests=env.integer("GATEWAY_MAX_REQUESTS", 400, minimum=1),
            request_seconds=env.seconds("GATEWAY_REQUEST_SECONDS", 3600, minimum=0.1),
            grace_seconds=env.seconds("GATEWAY_GRACE_SECONDS", 20, maximum=600),
            log_format=env.choice("LOG_FORMAT", ("console", "json"), "console"),
            videos=VideoSettings.from_environment(env),
        )
