"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_POLL_SECONDS: Final = 0.1


def wait_for(look: Callable[[], T | None], what: str, *, seconds: float = 60) -> T:
    """Return what `look` finds, asking again until it is something true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"Waited {seconds:g} s in vain for {what}."
        time.sleep(_POLL_SECONDS)
    return found
