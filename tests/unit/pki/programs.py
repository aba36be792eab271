"""Programs that a test talks to."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SECONDS: Final = 60  # for whatever a program does, on a busy machine; a browser's start too


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End it with the body, and after a minute at the latest: no line is waited for any longer."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()
        process.communicate(timeout=SECONDS)
