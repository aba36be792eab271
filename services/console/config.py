"""The console's settings: read once from the environment, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mtls.address import Address

from runtime.environment import Environment
from runtime.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """README.md says what each setting is for; times are in seconds."""

    listen: Address
    url: str
    identity: Path
    gateway: Address
    queue: Address
    certificates: Path | None
    impostors: Path | None
    certs_command: str
    alive_file: Path | None
    max_connections: int
    keepalive_seconds: float
    call_seconds: float
    idle_seconds: float
    request_seconds: float
    grace_seconds: float
    log_format: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        listen = env.address("CONSOLE_LISTEN", "127.0.0.1:8080")
        return cls(
            listen=listen,
            url=_url(env.text("CONSOLE_URL", "http://localhost")),
            identity=env.path("CONSOLE_IDENTITY"),
            gateway=env.address("CONSOLE_GATEWAY"),
            queue=env.address("CONSOLE_QUEUE"),
            certificates=_optional_path(env, "CONSOLE_CERTIFICATES"),
            impostors=_optional_path(env, "CONSOLE_IMPOSTORS"),
            certs_command=env.text("CONSOLE_CERTS_COMMAND", "docker compose run --rm certs"),
            alive_file=_optional_path(env, "CONSOLE_ALIVE_FILE"),
            max_connections=env.integer("CONSOLE_MAX_CONNECTIONS", 100, minimum=1),
            keepalive_seconds=env.seconds("CONSOLE_KEEPALIVE_SECONDS", 75, minimum=0.1),
            call_seconds=env.seconds("CONSOLE_CALL_SECONDS", 5, minimum=0.1),
            idle_seconds=env.seconds("CONSOLE_IDLE_SECONDS", 30, minimum=0.1),
            request_seconds=env.seconds("CONSOLE_REQUEST_SECONDS", 3600, minimum=0.1),
            grace_seconds=env.seconds("CONSOLE_GRACE_SECONDS", 5, maximum=600),
            log_format=env.choice("LOG_FORMAT", ("console", "json"), "console"),
        )


def _optional_path(env: Environment, name: str) -> Path | None:
    return env.path(name) if env.variables.get(name) else None


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigurationError(
            f"CONSOLE_URL is {text!r}: it should hold where a browser finds the console, "
            "such as http://localhost:8080."
        )
    return f"http://{parts.netloc}"
