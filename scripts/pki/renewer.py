"""The renewer: checks every minute whether something is due, and does what bootstrap does."""

import datetime as dt
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from pki.bootstrap import bootstrap
from pki.errors import PkiError, error_message
from pki.issuing_ca import pause_message
from pki.run import Options, as_option

_LONGEST: Final = dt.timedelta(seconds=60)


def longest_interval(leaf_life: dt.timedelta) -> dt.timedelta:
    """Return the longest interval that checks three times in the last third of a leaf's life."""
    return min(dt.timedelta(seconds=leaf_life // dt.timedelta(seconds=9)), _LONGEST)


def renew(folder: Path, load_options: Callable[[], Options], every: dt.timedelta) -> None:
    """Renew what is due in `folder` at this interval, until SIGTERM or SIGINT; return then.

    `load_options` is called each time, so that identities may be added meanwhile. An error is
    logged, and everything is tried again. A signal ends it at any moment: the next run continues
    from there.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        leaf_life = load_options().leaf_life
        _say(f"renewer: checks every {as_option(every)}, leaves live {as_option(leaf_life)}")
        while True:
            _renew_once(folder, load_options)
            time.sleep(every.total_seconds())
    except _StoppedError:
        _say("renewer: stopped")


def _renew_once(folder: Path, load_options: Callable[[], Options]) -> None:
    try:
        options = load_options()
        outcome = bootstrap(folder, options, on_pause=lambda: _say(pause_message(options)))
    except (PkiError, OSError) as error:
        _say(error_message(error, folder), error=True)
        return
    if outcome.changes:
        for line in (*outcome.changes, *outcome.notes):
            _say(line)
    if outcome.problem:
        _say(outcome.problem, error=True)


def _say(line: str, *, error: bool = False) -> None:
    now = dt.datetime.now(dt.UTC)
    print(f"{now:%FT%TZ} {line}", file=sys.stderr if error else sys.stdout, flush=True)


class _StoppedError(BaseException):
    """A signal has arrived. No `except` on the way takes it for an error."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _StoppedError
