"""The renewer: looks every minute whether something is due, and does what bootstrap does."""

import datetime as dt
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from pki.bootstrap import bootstrap
from pki.errors import PkiError, error_message
from pki.run import Options, as_option

_LONGEST: Final = dt.timedelta(seconds=60)


def longest_interval(leaf_life: dt.timedelta) -> dt.timedelta:
    """Return how often to look: three times in the third of a life that a renewal is due in."""
    return min(dt.timedelta(seconds=leaf_life // dt.timedelta(seconds=9)), _LONGEST)


def renew(folder: Path, options: Options, every: dt.timedelta) -> None:
    """Renew what is due in `folder`, `every` so often, until SIGTERM or SIGINT; return then.

    An error is told and tried again. A signal ends it wherever it is: whatever moment a run ends
    at, the next one takes up from there.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        _say(f"renewer: looks every {as_option(every)}, leaves live {as_option(options.leaf_life)}")
        while True:
            _look(folder, options)
            time.sleep(every.total_seconds())
    except _StoppedError:
        _say("renewer: stopped")


def _look(folder: Path, options: Options) -> None:
    try:
        outcome = bootstrap(folder, options, on_wait=lambda: None)
    except (PkiError, OSError) as error:
        _say(error_message(error, folder), error=True)
        return
    if outcome.changes:
        for line in (*outcome.changes, *outcome.notes):
            _say(line)


def _say(line: str, *, error: bool = False) -> None:
    now = dt.datetime.now(dt.UTC)
    print(f"{now:%FT%TZ} {line}", file=sys.stderr if error else sys.stdout, flush=True)


class _StoppedError(BaseException):
    """A signal has come. No `except` on the way takes it for an error."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _StoppedError
