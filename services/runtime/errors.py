"""Why a service does not start: the only errors that `runtime.service` turns into exit codes."""

from mtls.errors import MtlsError


class ConfigurationError(MtlsError):
    """An environment variable is missing or holds the wrong value."""


class StartError(MtlsError):
    """The service cannot start. The message says why, and what to do."""
