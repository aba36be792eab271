"""Reading environment variables: an error names the variable and what it should hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtls.address import Address

from runtime.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of a process. Without a default, a variable is required."""

    variables: Mapping[str, str]

    def text(self, name: str, default: str | None = None, *, holds: str = "a text") -> str:
        """Return a text that is not empty."""
        value = self.variables.get(name) or default
        if value is None:
            raise ConfigurationError(f"{name} is not set: it should hold {holds}.")
        return value

    def path(self, name: str, default: Path | None = None) -> Path:
        """Return a path."""
        return Path(self.text(name, str(default) if default else None, holds="a path"))

    def optional_path(self, name: str) -> Path | None:
        """Return a path, or None if the variable is not set."""
        return self.path(name) if self.variables.get(name) else None

    def integer(
        self, name: str, default: int | None = None, *, minimum: int = 0, maximum: int = 2**63 - 1
    ) -> int:
        """Return a whole number between two bounds, both included."""
        holds = f"a whole number from {minimum} to {maximum}"
        text = self.text(name, None if default is None else str(default), holds=holds)
        try:
            value = int(text)
        except ValueError:
            raise ConfigurationError(f"{name} is {text!r}: it should hold {holds}.") from None
        if not minimum <= value <= maximum:
            raise ConfigurationError(f"{name} is {text!r}: it should hold {holds}.")
        return value

    def seconds(
        self,
        name: str,
        default: float | None = None,
        *,
        minimum: float = 0.0,
        maximum: float = 86_400.0,
    ) -> float:
        """Return a time in seconds between two bounds, both included."""
        holds = f"a number of seconds from {minimum:g} to {maximum:g}"
        text = self.text(name, None if default is None else str(default), holds=holds)
        try:
            value = float(text)
        except ValueError:
            raise ConfigurationError(f"{name} is {text!r}: it should hold {holds}.") from None
        if not minimum <= value <= maximum:  # also false for NaN
            raise ConfigurationError(f"{name} is {text!r}: it should hold {holds}.")
        return value

    def choice(self, name: str, options: tuple[str, ...], default: str | None = None) -> str:
        """Return one of `options`."""
        holds = "one of " + ", ".join(options)
        value = self.text(name, default, holds=holds)
        if value not in options:
            raise ConfigurationError(f"{name} is {value!r}: it should hold {holds}.")
        return value

    def optional_address(self, name: str) -> Address | None:
        """Return a host and a port, or None if the variable is not set."""
        return self.address(name) if self.variables.get(name) else None

    def address(self, name: str, default: str | None = None) -> Address:
        """Return a host and a port; an IPv6 address stands in brackets."""
        holds = "host:port, such as 127.0.0.1:8443 or [::1]:8443"
        text = self.text(name, default, holds=holds)
        try:
            return Address.parse(text)
        except ValueError:
            raise ConfigurationError(f"{name} is {text!r}: it should hold {holds}.") from None
