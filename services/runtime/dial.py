"""Connecting to a host that has several addresses, and saying why that fails."""

import socket


def connect_to_any(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers, after `seconds` at most for each.

    Where none does, raises the `OSError` that says most. `localhost` has an IPv6 address on many
    machines without IPv6: that it cannot be assigned is not the reason, if the other one says that
    nobody listens.
    """
    try:
        return socket.create_connection((host, port), seconds, all_errors=True)
    except ExceptionGroup as errors:
        raise min(errors.exceptions, key=_rank) from None


def _rank(error: Exception) -> int:
    telling = (ConnectionRefusedError, TimeoutError)
    return next(
        (rank for rank, kind in enumerate(telling) if isinstance(error, kind)), len(telling)
    )
