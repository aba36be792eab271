"""What the doctor cannot work with; what it finds is no error but a finding."""

from mtls.errors import MtlsError


class UsageError(MtlsError):
    """The doctor was asked for something that it cannot do; `--help` shows what it can."""


class DecodeError(MtlsError):
    """These bytes are not the TLS structure that they should be."""
