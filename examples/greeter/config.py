"""The settings of both services, read once from the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from mtls import Address

from runtime.environment import Environment


class Config(NamedTuple):
    """Where to listen, whose certificate to show, and where front finds greeter."""

    listen: Address
    identity: Path
    greeter: Address
    log_format: str

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Self:
        """Read the settings. Raises `ConfigurationError`, which names the variable at fault."""
        env = Environment(variables)
        log_format = env.choice("LOG_FORMAT", ("console", "json"), "console")
        greeter = env.address("GREETER", "greeter:8443")
        return cls(env.address("LISTEN"), env.path("IDENTITY"), greeter, log_format)
